//! The pointer in Glue against a small Glue: databases, and tables whose versions count up and are compared.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;

/// What happens to one request.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// It is refused, and does nothing.
    Refused(u16, &'static str),
    /// It takes effect, and no answer comes.
    LostAfter,
    /// It never arrives.
    Unsent,
    /// Its answer does not say which version of the table it is about.
    Versionless,
}

#[derive(Debug, Default)]
struct State {
    databases: BTreeSet<String>,
    tables: BTreeMap<(String, String), (u64, Value)>,
    troubles: VecDeque<(&'static str, Trouble)>,
}

impl State {
    fn answer(&mut self, action: &str, body: &Value) -> (u16, Value) {
        let refused = |kind: &str| {
            let kind = format!("com.amazonaws.glue#{kind}");
            (400, json!({"__type": kind, "Message": "no"}))
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let input = &body["TableInput"];
        let name = if input.is_null() {
            &body["Name"]
        } else {
            &input["Name"]
        };
        let at = (text(&body["DatabaseName"]), text(name));
        match action {
            "CreateDatabase" if self.databases.insert(text(&body["DatabaseInput"]["Name"])) => {}
            "CreateDatabase" => return refused("AlreadyExistsException"),
            _ if !self.databases.contains(&at.0) => return refused("EntityNotFoundException"),
            "CreateTable" if self.tables.contains_key(&at) => {
                return refused("AlreadyExistsException");
            }
            "CreateTable" => {
                self.tables.insert(at, (0, input.clone()));
            }
            _ if !self.tables.contains_key(&at) => return refused("EntityNotFoundException"),
            "GetTable" => {
                let (version, table) = &self.tables[&at];
                let mut table = table.clone();
                table["VersionId"] = json!(version.to_string());
                table["CreateTime"] = json!(1.7e9);
                return (200, json!({"Table": table}));
            }
            "UpdateTable" => {
                assert!(input.get("CreateTime").is_none(), "Glue does not take that");
                let (version, table) = self.tables.get_mut(&at).unwrap();
                if body["VersionId"] != json!(version.to_string()) {
                    return refused("ConcurrentModificationException");
                }
                *version += 1;
                *table = input.clone();
            }
            "DeleteTable" => {
                self.tables.remove(&at);
            }
            other => panic!("{other} is not asked"),
        }
        (200, json!({}))
    }
}

fn glue(state: &Arc<Mutex<State>>) -> GluePointer {
    let state = Arc::clone(state);
    let ask = Glue::new(move |action, body| {
        let body: Value = serde_json::from_str(&body).unwrap();
        let mut state = state.lock().unwrap();
        let hits = |front: &&(&str, Trouble)| front.0 == action;
        let trouble = state.troubles.front().filter(hits).map(|front| front.1);
        if trouble.is_some() {
            state.troubles.pop_front();
        }
        let answer = match trouble {
            Some(Trouble::Refused(status, kind)) => Ok((status, json!({"__type": kind}))),
            Some(Trouble::Unsent) => Err((false, "no credentials".to_owned())),
            Some(Trouble::LostAfter) => {
                state.answer(action, &body);
                Err((true, "the connection broke".to_owned()))
            }
            Some(Trouble::Versionless) => {
                let (status, mut told) = state.answer(action, &body);
                told["Table"]["VersionId"] = Value::Null;
                Ok((status, told))
            }
            None => Ok(state.answer(action, &body)),
        };
        drop(state);
        Box::pin(async move { answer.map(|(status, body)| (status, body.to_string())) })
    });
    GluePointer::new(ask, "lab_")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pointer_in_glue_behaves() {
    behaves(Arc::new(glue(&Arc::default()))).await;
}

#[tokio::test]
async fn a_table_in_glue_keeps_what_others_noted_of_it() {
    let state = Arc::<Mutex<State>>::default();
    let pointer = glue(&state);
    pointer.swap(ITEMS, None, &at(ITEMS, "0")).await.unwrap();
    let place = ("lab_earthcatalog".to_owned(), "stac_items".to_owned());
    let change = |change: &dyn Fn(&mut Value)| {
        let mut state = state.lock().unwrap();
        let (version, table) = state.tables.get_mut(&place).unwrap();
        *version += 1;
        change(table);
    };
    change(&|table| {
        assert_eq!(
            table["StorageDescriptor"]["Location"],
            "/l/warehouse/earthcatalog/stac_items"
        );
        assert_eq!(
            table["StorageDescriptor"]["Columns"][0],
            json!({"Name": "id", "Type": "string"})
        );
        table["Parameters"]["comment"] = json!("ours");
        table["Owner"] = json!("someone");
    });
    let zero = pointer.load(ITEMS).await.unwrap().unwrap();
    let swap = pointer.swap(ITEMS, Some(&zero), &at(ITEMS, "1")).await;
    assert_eq!(swap.unwrap(), Swap::Swapped);
    change(&|table| {
        let parameters = json!({
            "EXTERNAL": "TRUE", "table_type": "ICEBERG", "comment": "ours",
            "metadata_location": at(ITEMS, "1"), "previous_metadata_location": at(ITEMS, "0"),
        });
        assert_eq!(table["Parameters"], parameters);
        assert_eq!(table["Owner"], "someone");
        // A table of another kind under the name.
        table["Parameters"]["table_type"] = json!("DELTA");
    });
    let error = pointer.load(ITEMS).await.unwrap_err();
    assert_eq!(
        (error.effect(), error.class()),
        (Effect::None, Class::Denied)
    );
}

#[tokio::test]
async fn what_glue_refuses_is_told_apart() {
    let state = Arc::<Mutex<State>>::default();
    let pointer = glue(&state);
    pointer.swap(ITEMS, None, &at(ITEMS, "0")).await.unwrap();
    let zero = pointer.load(ITEMS).await.unwrap().unwrap();
    let trouble = |trouble| {
        state
            .lock()
            .unwrap()
            .troubles
            .push_back(("UpdateTable", trouble));
    };
    let refused = Trouble::Refused;
    for (told, class) in [
        (refused(400, "ThrottlingException"), Class::Transient),
        (refused(400, "AccessDeniedException"), Class::Denied),
        (refused(400, "OperationTimeoutException"), Class::Uncertain),
        (refused(500, "InternalServiceException"), Class::Uncertain),
        (Trouble::Unsent, Class::Denied),
    ] {
        trouble(told);
        let error = pointer
            .swap(ITEMS, Some(&zero), &at(ITEMS, "1"))
            .await
            .unwrap_err();
        let is_unknown = error.effect() == Effect::Unknown;
        assert_eq!(error.class(), class, "{told:?}");
        assert_eq!(is_unknown, class == Class::Uncertain, "{told:?}");
        assert_eq!(pointer.load(ITEMS).await.unwrap().unwrap(), zero);
    }
    trouble(Trouble::Refused(400, "ConcurrentModificationException"));
    let swap = pointer.swap(ITEMS, Some(&zero), &at(ITEMS, "1")).await;
    assert_eq!(swap.unwrap(), Swap::Lost);
    // The answer is lost and the swap is not: only the pointer can tell.
    trouble(Trouble::LostAfter);
    let error = pointer
        .swap(ITEMS, Some(&zero), &at(ITEMS, "1"))
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Uncertain);
    let one = pointer.load(ITEMS).await.unwrap().unwrap();
    assert_eq!(one.location, at(ITEMS, "1"));
}

#[tokio::test]
async fn who_makes_a_table_in_glue_beside_another_has_lost_and_looks_again() {
    let state = Arc::<Mutex<State>>::default();
    let pointer = glue(&state);
    let raced = Trouble::Refused(400, "ConcurrentModificationException");
    for action in ["CreateTable", "CreateDatabase"] {
        state.lock().unwrap().troubles.push_back((action, raced));
    }
    for swapped in [Swap::Lost, Swap::Lost, Swap::Swapped] {
        let swap = pointer.swap(ITEMS, None, &at(ITEMS, "0")).await;
        assert_eq!(swap.unwrap(), swapped);
    }
}

/// C11: without a version there is nothing to change a table on condition of.
#[tokio::test]
async fn c11_a_table_without_a_version_is_not_committed_to() {
    let state = Arc::<Mutex<State>>::default();
    let pointer = glue(&state);
    pointer.swap(ITEMS, None, &at(ITEMS, "0")).await.unwrap();
    let zero = pointer.load(ITEMS).await.unwrap().unwrap();
    let versionless = ("GetTable", Trouble::Versionless);
    state.lock().unwrap().troubles.push_back(versionless);
    let error = pointer.load(ITEMS).await.unwrap_err();
    assert_eq!(
        (error.effect(), error.class()),
        (Effect::None, Class::Denied)
    );
    assert!(error.to_string().contains("which version"), "{error}");
    state.lock().unwrap().troubles.push_back(versionless);
    let swap = pointer.swap(ITEMS, Some(&zero), &at(ITEMS, "1")).await;
    assert_eq!(swap.unwrap_err().effect(), Effect::None);
    assert_eq!(pointer.load(ITEMS).await.unwrap().unwrap(), zero);
}
