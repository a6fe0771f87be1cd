//! Everything beside the workers: signals, the admin and health endpoints, logs and export.

pub mod admin;
pub mod export;
pub mod health;
pub mod http;
pub mod log;
pub mod recent;
pub mod signals;
pub mod subject;
pub mod vitals;
