//! What is said about connections: counters, records, reasons. Plain data; who ships it is `control`.

pub mod chooser;
pub mod code;
pub mod counter;
pub mod counters;
pub mod end;
pub mod histogram;
pub mod live;
pub mod moment;
pub mod names;
pub mod reason;
pub mod record;
pub mod report;
pub mod step;
pub mod suite;
pub mod trace;
