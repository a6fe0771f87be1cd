//! What one connection is judged by: its own buckets and those of its subject.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Limits;
use super::bucket::{Bucket, Exceeded};
use super::subjects::{Membership, Subjects};
use crate::rule::Rule;

/// Meters what a client sends. A connection without limits has none: hold an `Option<Box<Meter>>`.
#[derive(Debug)]
pub struct Meter {
    limits: Arc<Limits>,
    messages: Bucket,
    bytes: Bucket,
    subject: Option<Membership>,
}

impl Meter {
    /// The meter of a new connection of `subject`; `None` when nothing limits it. A connection without a subject
    /// has only the limits of a connection.
    pub fn new(
        limits: &Arc<Limits>,
        subject: Option<&str>,
        subjects: &Arc<Subjects>,
        now: Instant,
    ) -> Option<Box<Self>> {
        let subject = subject.filter(|_| !limits.subject.is_none());
        if limits.connection.is_none() && subject.is_none() {
            return None;
        }
        Some(Box::new(Self {
            limits: Arc::clone(limits),
            messages: Bucket::new(now),
            bytes: Bucket::new(now),
            subject: subject.map(|subject| subjects.join(subject, now)),
        }))
    }

    /// So many messages and bytes more have come. Returns until when to read nothing more from the client, if it is
    /// to be throttled; the latest answer holds. `take(0, 0, now)` asks again, which is worth it after a wait: other
    /// connections of the subject may have taken meanwhile.
    ///
    /// # Errors
    /// The rule that the client broke. What comes is then not to pass; the connection is to be closed. The subject's
    /// bytes are asked last, so its message stays counted when only they are exceeded.
    pub fn take(&mut self, messages: u64, bytes: u64, now: Instant) -> Result<Option<Instant>, Rule> {
        let Limits { connection, subject } = &*self.limits;
        let mut wait = Duration::ZERO;
        if let Some(rate) = &connection.messages {
            let taken = self.messages.take(rate, connection.action, messages, now);
            wait = wait.max(taken.map_err(|Exceeded| Rule::MessageRate)?);
        }
        if let Some(rate) = &connection.bytes {
            let taken = self.bytes.take(rate, connection.action, bytes, now);
            wait = wait.max(taken.map_err(|Exceeded| Rule::ByteRate)?);
        }
        if let Some(membership) = &self.subject {
            if let Some(rate) = &subject.messages {
                let taken = membership.messages().take(rate, subject.action, messages, now);
                wait = wait.max(taken.map_err(|Exceeded| Rule::SubjectMessageRate)?);
            }
            if let Some(rate) = &subject.bytes {
                let taken = membership.bytes().take(rate, subject.action, bytes, now);
                wait = wait.max(taken.map_err(|Exceeded| Rule::SubjectByteRate)?);
            }
        }
        // No time that a clock shows is so late that a wait of centuries could not be added to it.
        Ok((!wait.is_zero()).then(|| now.checked_add(wait).unwrap_or(now)))
    }
}

#[cfg(test)]
mod tests;
