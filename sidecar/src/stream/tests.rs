use super::{StreamError, apply};
use crate::settings::Settings;
use crate::workload::Task;

const POD: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, ports: [{containerPort: 1}]}]}\n";
const OTHER: &str = "# why\nkind: ConfigMap # this\napiVersion: v1\n";

fn inject(text: &str) -> Result<super::Stream, StreamError> {
    let settings = Settings::default();
    apply(text, Task::Inject(&settings))
}

#[test]
fn what_is_left_alone_keeps_every_byte() {
    let done = inject(&format!("{OTHER}---\n{POD}---\n{OTHER}")).unwrap();
    let parts: Vec<_> = done.text.split("---\n").collect();
    assert_eq!((parts.len(), parts[0], parts[2]), (3, OTHER, OTHER));
    assert!(parts[1].contains("name: ringside\n") && done.is_changed());
    assert!(done.report.ends_with("1 injected, 2 left alone\n"), "{}", done.report);
    assert!(done.diff().contains("+  initContainers:"), "{}", done.diff());
}

#[test]
fn one_wrong_object_stops_the_stream_and_all_are_told() {
    let wrong = POD.replace("{name: a}\n", "{name: b, annotations: {ringside.dev/port: x}}\n");
    let StreamError::Objects(told) = inject(&format!("{wrong}---\n{POD}---\n{wrong}")).unwrap_err() else {
        panic!("not objects")
    };
    assert!(
        told.starts_with(
            "document 1 (Pod b), from line 1: metadata.annotations[\"ringside.dev/port\"]: is \"x\"; write a number"
        ),
        "{told}"
    );
    assert!(
        told.contains("document 3 (Pod b), from line 11: ") && told.ends_with("2 problems; nothing was written"),
        "{told}"
    );
}

#[test]
fn nothing_gives_nothing() {
    for text in ["", "---\n", "# only a comment\n"] {
        let done = inject(text).unwrap();
        assert_eq!(
            (done.text.as_str(), done.report.as_str(), done.is_changed()),
            ("", "no documents\n", false),
            "{text:?}"
        );
    }
}
