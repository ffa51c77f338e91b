//! The pointer in the AWS Glue Data Catalog: a table's parameter `metadata_location`, changed on condition of its version.
//!
//! As Iceberg's own Glue catalogs write it, so that Athena, Spark and `PyIceberg` open the tables by name.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};
use swath_core::{Class, TableName};
use swath_table::schema::{Column, Kind, of};

use super::kind::Answer;
use super::{Effect, Pointed, PointerError, Swap, TablePointer};

/// Answers of Glue, by the last part of their type.
const ABSENT: &str = "EntityNotFoundException";
const EXISTS: &str = "AlreadyExistsException";
const TOOK_LONG: &str = "OperationTimeoutException";
const RACED: [&str; 2] = [
    "ConcurrentModificationException",
    "VersionMismatchException",
];
const BUSY: [&str; 3] = [
    "ThrottlingException",
    "TooManyRequestsException",
    "LimitExceededException",
];

/// What a table carries that only `GetTable` tells: `UpdateTable` takes none of it.
const TOLD: [&str; 11] = [
    "CatalogId",
    "CreateTime",
    "CreatedBy",
    "DatabaseName",
    "FederatedTable",
    "IsMaterializedView",
    "IsMultiDialectView",
    "IsRegisteredWithLakeFormation",
    "Status",
    "UpdateTime",
    "VersionId",
];

type Asked = BoxFuture<'static, Answer>;

/// Asks the service: the action (`GetTable`) and its JSON body. Nothing is asked twice.
#[derive(Clone)]
pub struct Glue(Arc<dyn Fn(&'static str, String) -> Asked + Send + Sync>);

impl Glue {
    /// Takes what sends requests.
    pub fn new(ask: impl Fn(&'static str, String) -> Asked + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }
}

impl fmt::Debug for Glue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Glue")
    }
}

/// Pointers in the Glue databases `<prefix>earthcatalog` and `<prefix>swath`.
#[derive(Clone, Debug)]
pub struct GluePointer {
    glue: Glue,
    prefix: String,
}

/// What Glue said when it refused.
struct Refused {
    kind: String,
    error: PointerError,
}

impl Refused {
    /// Says whether someone else was first, so that nothing was done.
    fn raced(&self) -> bool {
        RACED.contains(&self.kind.as_str())
    }
}

impl GluePointer {
    /// Takes the service, and what the names of the databases begin with.
    pub fn new(glue: Glue, prefix: &str) -> Self {
        let prefix = prefix.to_owned();
        Self { glue, prefix }
    }

    fn database(&self, table: TableName) -> String {
        format!("{}{}", self.prefix, table.namespace())
    }

    /// Asks; what changes nothing (`reads`) cannot have had an effect.
    async fn ask(
        &self,
        table: TableName,
        action: &'static str,
        body: Value,
    ) -> Result<Value, Refused> {
        let reads = action == "GetTable";
        let failed = |kind: &str, what: String, effect, class| Refused {
            kind: kind.to_owned(),
            error: PointerError::Service {
                table,
                what: format!("{action} of Glue: {what}"),
                effect: if reads { Effect::None } else { effect },
                class,
            },
        };
        let reply = (self.glue.0)(action, body.to_string()).await;
        let (status, body) = reply.map_err(|(may_be_heard, why)| {
            // Without credentials or a region nothing is sent, and all would fail alike.
            let (effect, class) = if may_be_heard {
                (Effect::Unknown, Class::Transient)
            } else {
                (Effect::None, Class::Denied)
            };
            failed("", why, effect, class)
        })?;
        let told: Value = serde_json::from_str(&body).unwrap_or_default();
        if status == 200 {
            return Ok(told);
        }
        let kind = told.get("__type").and_then(Value::as_str).unwrap_or("");
        let kind = kind.rsplit('#').next().unwrap_or("");
        let said = ["Message", "message"]
            .iter()
            .find_map(|name| told.get(name));
        let said = said.and_then(Value::as_str).unwrap_or("");
        let what = format!("{status} {kind} {said}");
        let (effect, class) = match (kind, status) {
            _ if BUSY.contains(&kind) || status == 429 => (Effect::None, Class::Transient),
            (TOOK_LONG, _) | (_, 500..) => (Effect::Unknown, Class::Transient),
            // What we sent, or who we are, will not do: every message would fail alike.
            _ => (Effect::None, Class::Denied),
        };
        Err(failed(kind, what.trim_end().to_owned(), effect, class))
    }

    /// Returns a table as Glue has it.
    async fn table(&self, table: TableName) -> Result<Option<Value>, PointerError> {
        let asked = json!({"DatabaseName": self.database(table), "Name": table.name()});
        match self.ask(table, "GetTable", asked).await {
            Ok(mut told) => Ok(told.get_mut("Table").map(Value::take)),
            Err(refused) if refused.kind == ABSENT => Ok(None),
            Err(refused) => Err(refused.error),
        }
    }

    async fn create(&self, table: TableName, location: &str) -> Result<Swap, PointerError> {
        let database = self.database(table);
        let body = json!({"DatabaseName": database, "TableInput": fresh(table, location)});
        let mut made = self.ask(table, "CreateTable", body.clone()).await;
        if made.as_ref().is_err_and(|refused| refused.kind == ABSENT) {
            let database = json!({"DatabaseInput": {"Name": database}});
            match self.ask(table, "CreateDatabase", database).await {
                Err(refused) if refused.raced() => return Ok(Swap::Lost),
                Err(refused) if refused.kind != EXISTS => return Err(refused.error),
                _ => {}
            }
            made = self.ask(table, "CreateTable", body).await;
        }
        match made {
            Ok(_) => Ok(Swap::Swapped),
            Err(refused) if refused.kind == EXISTS || refused.raced() => Ok(Swap::Lost),
            Err(refused) => Err(refused.error),
        }
    }

    async fn update(
        &self,
        table: TableName,
        expected: &Pointed,
        location: &str,
    ) -> Result<Swap, PointerError> {
        let Some(now) = self.table(table).await? else {
            return Ok(Swap::Lost);
        };
        if pointed(table, &now)? != *expected {
            return Ok(Swap::Lost);
        }
        let body = json!({
            "DatabaseName": self.database(table),
            "TableInput": changed(now, &expected.location, location),
            "VersionId": expected.token,
            "SkipArchive": true,
        });
        match self.ask(table, "UpdateTable", body).await {
            Ok(_) => Ok(Swap::Swapped),
            Err(refused) if refused.kind == ABSENT || refused.raced() => Ok(Swap::Lost),
            Err(refused) => Err(refused.error),
        }
    }
}

#[async_trait]
impl TablePointer for GluePointer {
    async fn load(&self, table: TableName) -> Result<Option<Pointed>, PointerError> {
        let now = self.table(table).await?;
        now.map(|now| pointed(table, &now)).transpose()
    }

    async fn swap(
        &self,
        table: TableName,
        expected: Option<&Pointed>,
        location: &str,
    ) -> Result<Swap, PointerError> {
        match expected {
            None => self.create(table, location).await,
            Some(expected) => self.update(table, expected, location).await,
        }
    }

    async fn remove(&self, table: TableName) -> Result<(), PointerError> {
        let body = json!({"DatabaseName": self.database(table), "Name": table.name()});
        match self.ask(table, "DeleteTable", body).await {
            Ok(_) => Ok(()),
            Err(refused) if refused.kind == ABSENT => Ok(()),
            Err(refused) => Err(refused.error),
        }
    }
}

/// Reads where a table's metadata is, and which version of the table says so.
fn pointed(table: TableName, now: &Value) -> Result<Pointed, PointerError> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let parameter = |name| text(now.get("Parameters").and_then(|all| all.get(name)));
    let is_iceberg =
        parameter("table_type").is_some_and(|kind| kind.eq_ignore_ascii_case("iceberg"));
    let location = parameter("metadata_location").filter(|_| is_iceberg);
    match (location, text(now.get("VersionId"))) {
        (Some(location), Some(token)) => Ok(Pointed { location, token }),
        (location, _) => Err(PointerError::Service {
            table,
            what: match location {
                None => "Glue has it as something else than an Iceberg table".to_owned(),
                Some(_) => "Glue does not say which version of it this is".to_owned(),
            },
            effect: Effect::None,
            class: Class::Denied,
        }),
    }
}

/// A table that was not there before.
fn fresh(table: TableName, location: &str) -> Value {
    let folder = location
        .rsplit_once("/metadata/")
        .map_or(location, |(folder, _)| folder);
    let columns: Vec<Value> = of(table)
        .columns
        .iter()
        .map(|column| json!({"Name": column.name, "Type": hive(column)}))
        .collect();
    json!({
        "Name": table.name(),
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "table_type": "ICEBERG", "metadata_location": location},
        "StorageDescriptor": {"Location": folder, "Columns": columns},
    })
}

/// The table with another location; all else that it says is kept.
fn changed(now: Value, before: &str, location: &str) -> Value {
    let mut input = match now {
        Value::Object(input) => input,
        _ => Map::new(),
    };
    for name in TOLD {
        input.remove(name);
    }
    let parameters = input.entry("Parameters").or_insert_with(|| json!({}));
    if let Some(parameters) = parameters.as_object_mut() {
        parameters.insert("metadata_location".to_owned(), json!(location));
        parameters.insert("previous_metadata_location".to_owned(), json!(before));
    }
    Value::Object(input)
}

/// A column's type as Hive names it: for those who browse; readers take the types from the metadata.
fn hive(column: &Column) -> String {
    match column.kind {
        Kind::String => "string".to_owned(),
        Kind::Binary => "binary".to_owned(),
        Kind::Boolean => "boolean".to_owned(),
        Kind::Int => "int".to_owned(),
        Kind::Long => "bigint".to_owned(),
        Kind::Double => "double".to_owned(),
        Kind::Timestamptz => "timestamp".to_owned(),
        Kind::Struct(columns) => {
            let fields = columns
                .iter()
                .map(|one| format!("{}:{}", one.name, hive(one)));
            format!("struct<{}>", fields.collect::<Vec<_>>().join(","))
        }
        Kind::List(element) => format!("array<{}>", hive(element)),
    }
}
