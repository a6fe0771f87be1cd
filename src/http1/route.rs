//! Templates of paths, so that a span can say what was asked for without saying who asked: `/rooms/{room}` stands for
//! every room.
//!
//! A path is compared as it was written, segment by segment: nothing is decoded, and nothing is resolved (`..`, `//`).
//! What the app takes for the same path but writes otherwise has no route here, which costs a span its name and nothing
//! else: no decision hangs on a route.

use std::str::FromStr;
use std::sync::Arc;

use super::target::redacted_path;

/// Most templates.
pub const MOST: usize = 100;

/// Most bytes of a template.
pub const LONGEST: usize = 256;

/// A template: segments that are as they stand, or a name in braces for any that is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    text: Arc<str>,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// This text; it may be empty, as behind a last `/`.
    Literal(String),
    /// Any text but none.
    Any,
}

/// Why a text is not a [`Route`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseRouteError {
    /// A path begins with a slash.
    #[error("a path begins with \"/\"")]
    Slash,
    /// More than [`LONGEST`].
    #[error("longer than {LONGEST} bytes")]
    TooLong,
    /// A byte that no path holds (RFC 3986 section 3.3), such as `?`.
    #[error("only what a path may hold: visible ASCII without `?` and `#`")]
    Byte,
    /// A brace that is not around a whole segment, or around no name.
    #[error("braces stand around a whole segment, with a name of letters, digits and `_` in them")]
    Braces,
}

/// The templates, in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes(Vec<Route>);

impl Route {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether every path that `other` stands for is one of this as well.
    pub fn covers(&self, other: &Self) -> bool {
        let covers = |(mine, its): (&Segment, &Segment)| match (mine, its) {
            (Segment::Literal(mine), Segment::Literal(its)) => mine == its,
            (Segment::Literal(_), Segment::Any) => false,
            (Segment::Any, Segment::Literal(its)) => !its.is_empty(),
            (Segment::Any, Segment::Any) => true,
        };
        self.segments.len() == other.segments.len() && self.segments.iter().zip(&other.segments).all(covers)
    }

    fn matches(&self, path: &str) -> bool {
        let mut parts = path.split('/').skip(1);
        let mut segments = self.segments.iter();
        loop {
            match (segments.next(), parts.next()) {
                (None, None) => return true,
                (Some(Segment::Literal(text)), Some(part)) if text == part => {}
                (Some(Segment::Any), Some(part)) if !part.is_empty() => {}
                _ => return false,
            }
        }
    }
}

impl Routes {
    /// Tries them in this order.
    pub const fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// The first template that `target` is of, as it was written; its query is not looked at.
    pub fn find(&self, target: &str) -> Option<Arc<str>> {
        let path = redacted_path(target);
        self.0.iter().find(|route| route.matches(path)).map(|route| Arc::clone(&route.text))
    }
}

impl FromStr for Route {
    type Err = ParseRouteError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = text.strip_prefix('/').ok_or(ParseRouteError::Slash)?;
        if text.len() > LONGEST {
            return Err(ParseRouteError::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#')) {
            return Err(ParseRouteError::Byte);
        }
        let segments = path.split('/').map(segment).collect::<Result<_, _>>()?;
        Ok(Self { text: text.into(), segments })
    }
}

fn segment(text: &str) -> Result<Segment, ParseRouteError> {
    if !text.contains(['{', '}']) {
        return Ok(Segment::Literal(text.to_owned()));
    }
    let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match name {
        Some(name) if !name.is_empty() && is_name(name) => Ok(Segment::Any),
        _ => Err(ParseRouteError::Braces),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn routes(texts: &[&str]) -> Routes {
        Routes::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn a_path_has_the_route_whose_segments_it_has() {
        let routes = routes(&["/", "/chat", "/rooms/{room}", "/rooms/{room}/{user_2}", "/files/", "/a%20b"]);
        for (target, route) in [
            ("/", Some("/")),
            ("/?access_token=s3cret", Some("/")),
            ("/chat", Some("/chat")),
            ("/chat?room=/rooms/7", Some("/chat")),
            ("/rooms/7", Some("/rooms/{room}")),
            ("/rooms/7?a=/b", Some("/rooms/{room}")),
            ("/rooms/{room}", Some("/rooms/{room}")),
            ("/rooms/7/ann", Some("/rooms/{room}/{user_2}")),
            ("/files/", Some("/files/")),
            ("/a%20b", Some("/a%20b")),
            ("/chat/", None),
            ("/Chat", None),
            ("/%63hat", None),
            ("//chat", None),
            ("/rooms", None),
            ("/rooms/", None),
            ("/rooms//ann", None),
            ("/rooms/7/", None),
            ("/rooms/7/ann/1", None),
            ("/files", None),
        ] {
            assert_eq!(routes.find(target).as_deref(), route, "{target}");
        }
    }

    #[test]
    fn the_first_that_matches_wins() {
        let both = ["/rooms/lobby", "/rooms/{room}"];
        assert_eq!(routes(&both).find("/rooms/lobby").as_deref(), Some("/rooms/lobby"));
        assert_eq!(routes(&[both[1], both[0]]).find("/rooms/lobby").as_deref(), Some("/rooms/{room}"));
        assert_eq!(Routes::default().find("/"), None);
    }

    #[test]
    fn what_is_no_template_is_told() {
        let long = format!("/{}", "a".repeat(LONGEST));
        for (text, error) in [
            ("", ParseRouteError::Slash),
            ("rooms", ParseRouteError::Slash),
            ("https://h/rooms", ParseRouteError::Slash),
            (&long, ParseRouteError::TooLong),
            ("/rooms?x", ParseRouteError::Byte),
            ("/rooms#x", ParseRouteError::Byte),
            ("/a b", ParseRouteError::Byte),
            ("/é", ParseRouteError::Byte),
            ("/{}", ParseRouteError::Braces),
            ("/{room", ParseRouteError::Braces),
            ("/room}", ParseRouteError::Braces),
            ("/v{n}", ParseRouteError::Braces),
            ("/{a}{b}", ParseRouteError::Braces),
            ("/{path*}", ParseRouteError::Braces),
        ] {
            assert_eq!(text.parse::<Route>(), Err(error), "{text}");
        }
        assert!(long[..LONGEST].parse::<Route>().is_ok());
    }

    #[test]
    fn a_route_covers_those_it_leaves_nothing_for() {
        for (first, second, covers) in [
            ("/rooms/{room}", "/rooms/{id}", true),
            ("/rooms/{room}", "/rooms/lobby", true),
            ("/rooms/{room}", "/rooms/", false),
            ("/rooms/lobby", "/rooms/{room}", false),
            ("/{a}/{b}", "/{a}", false),
            ("/chat", "/chat", true),
        ] {
            let [first, second]: [Route; 2] = [first, second].map(|text| text.parse().unwrap());
            assert_eq!(first.covers(&second), covers, "{} {}", first.as_str(), second.as_str());
        }
    }

    fn any_template() -> impl Strategy<Value = Route> {
        "(/([ab]|\\{x\\})?){1,3}".prop_map(|text| text.parse().unwrap())
    }

    proptest! {
        #[test]
        fn what_is_covered_is_matched(first in any_template(), second in any_template(), path in "(/[abc]?){1,3}") {
            if first.covers(&second) && second.matches(&path) {
                prop_assert!(first.matches(&path), "{}", path);
            }
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,20}", target in "/[ -~]{0,20}") {
            if let Ok(route) = text.parse::<Route>() {
                prop_assert_eq!(route.as_str(), &text);
                let _ = route.matches(&target);
            }
        }
    }
}
