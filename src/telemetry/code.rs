//! Close codes as a label: few enough for a series each.

/// A close code, or a range of codes that share a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeClass(usize);

/// The labels: each code of RFC 6455 section 7.4 that can be met, then ranges, then no Close frame at all.
const LABELS: [&str; 17] = [
    "1000", "1001", "1002", "1003", "1005", "1007", "1008", "1009", "1010", "1011", "1012", "1013", "1014", "3xxx",
    "4xxx", "other", "none",
];

impl CodeClass {
    /// How many there are.
    pub const COUNT: usize = LABELS.len();

    /// The class of what an [`End`](super::end::End) says: 1005 for a Close without a code, `None` without a Close.
    pub fn of(code: Option<u16>) -> Self {
        let label = match code {
            None => "none",
            Some(3000..=3999) => "3xxx",
            Some(4000..=4999) => "4xxx",
            Some(code) => return Self(numbered(code)),
        };
        Self(place(label))
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Its place among [`all`](Self::all).
    pub const fn index(self) -> usize {
        self.0
    }

    /// Its label.
    pub const fn as_str(self) -> &'static str {
        LABELS[self.0]
    }
}

fn numbered(code: u16) -> usize {
    LABELS.iter().position(|label| label.parse() == Ok(code)).unwrap_or_else(|| place("other"))
}

fn place(label: &str) -> usize {
    LABELS.iter().position(|known| *known == label).unwrap_or(LABELS.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::CodeClass;

    #[test]
    fn each_code_has_a_label() {
        for (code, label) in [
            (Some(1000), "1000"),
            (Some(1005), "1005"),
            (Some(1014), "1014"),
            (Some(1015), "other"),
            (Some(2999), "other"),
            (Some(3000), "3xxx"),
            (Some(4401), "4xxx"),
            (Some(5000), "other"),
            (None, "none"),
        ] {
            assert_eq!(CodeClass::of(code).as_str(), label);
        }
        assert!(CodeClass::all().enumerate().all(|(place, class)| class.index() == place));
    }
}
