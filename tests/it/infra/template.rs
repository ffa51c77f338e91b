//! Reads the template as `CloudFormation` does: short forms of functions become long ones, parameters their defaults.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value, json};

use crate::house::tree::root;

/// A template, its short forms spelt out.
pub(super) struct Template(Value);

/// The function behind a queue, and how the queue is read.
pub(super) struct Mapping<'a> {
    pub(super) function: &'a str,
    pub(super) properties: &'a Value,
    /// The queue's logical name.
    pub(super) queue: &'a str,
    pub(super) event: &'a Value,
}

/// One `Allow` of a role.
pub(super) struct Statement<'a> {
    pub(super) role: &'a str,
    pub(super) sid: String,
    pub(super) actions: Vec<String>,
    pub(super) resources: Vec<Place>,
}

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The resource's logical name, or the text when it is none of the template's.
    pub(super) of: String,
    /// The keys of a bucket, as they stand behind its slash.
    pub(super) keys: Option<String>,
}

/// Returns the template's text.
pub(super) fn text() -> String {
    std::fs::read_to_string(root().join("infra/template.yaml")).expect("the template is there")
}

impl Template {
    pub(super) fn parse(text: &str) -> Self {
        let documents = Yaml::load_from_str(text).expect("the template is YAML");
        Self(plain(&documents[0]))
    }

    /// Returns the properties of each resource of a type, by logical name.
    pub(super) fn all(&self, kind: &str) -> BTreeMap<&str, &Value> {
        let resources = self.0["Resources"].as_object().expect("Resources");
        resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == kind)
            .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
            .collect()
    }

    pub(super) fn functions(&self) -> BTreeMap<&str, &Value> {
        self.all("AWS::Serverless::Function")
    }

    /// Returns what every function has in common.
    pub(super) fn globals(&self) -> &Value {
        &self.0["Globals"]["Function"]
    }

    pub(super) fn mappings(&self) -> Vec<Mapping<'_>> {
        let mut mappings = Vec::new();
        for (function, properties) in self.functions() {
            for event in properties["Events"]
                .as_object()
                .into_iter()
                .flat_map(Map::values)
            {
                if event["Type"] == "SQS" {
                    let event = &event["Properties"];
                    let queue = named(&event["Queue"]).expect("a mapping names its queue");
                    mappings.push(Mapping {
                        function,
                        properties,
                        queue,
                        event,
                    });
                }
            }
        }
        for event in self.all("AWS::Lambda::EventSourceMapping").into_values() {
            let (function, properties) = self
                .functions()
                .into_iter()
                .find(|(name, _)| named(&event["FunctionName"]) == Some(name))
                .expect("a mapping names its function");
            mappings.push(Mapping {
                function,
                properties,
                queue: named(&event["EventSourceArn"]).expect("a mapping names its queue"),
                event,
            });
        }
        mappings
    }

    /// Returns a number: as it stands, or the default of the parameter that it refers to.
    pub(super) fn number(&self, value: &Value) -> Option<u64> {
        match value.get("Ref") {
            Some(name) => self.0["Parameters"][name.as_str()?]["Default"].as_u64(),
            None => value.as_u64(),
        }
    }

    /// Returns the least number that a value may be: as it stands, or the bound of the parameter that it refers to.
    pub(super) fn least(&self, value: &Value) -> Option<u64> {
        match value.get("Ref") {
            Some(name) => self.0["Parameters"][name.as_str()?]["MinValue"].as_u64(),
            None => value.as_u64(),
        }
    }

    /// Returns every statement of every role, those of policies that are tied to it by a condition among them.
    pub(super) fn statements(&self) -> Vec<Statement<'_>> {
        let roles = self.all("AWS::IAM::Role").into_iter();
        let own = roles.flat_map(|(role, properties)| {
            let policies = list(&properties["Policies"]).into_iter();
            policies.map(move |policy| (role, policy))
        });
        let tied = self.all("AWS::IAM::Policy").into_values();
        let tied = tied.flat_map(|policy| {
            let roles = list(&policy["Roles"]).into_iter().filter_map(named);
            roles.map(move |role| (role, policy))
        });
        let mut statements = Vec::new();
        for (role, policy) in own.chain(tied) {
            for statement in list(&policy["PolicyDocument"]["Statement"]) {
                let actions = list(&statement["Action"]).into_iter().map(words);
                let resources = list(&statement["Resource"]).into_iter();
                statements.push(Statement {
                    role,
                    sid: words(&statement["Sid"]),
                    actions: actions.collect(),
                    resources: resources.map(|resource| self.place(resource)).collect(),
                });
            }
        }
        statements
    }

    /// Returns what an ARN is about: `!GetAtt X.Arn`, `${X.Arn}/keys`, or a bucket's ARN spelt out.
    fn place(&self, arn: &Value) -> Place {
        if let Some(name) = named(arn) {
            return Place {
                of: name.to_owned(),
                keys: None,
            };
        }
        let text = words(arn);
        if let Some(queue) = self.queue_at(&text) {
            return Place {
                of: queue.to_owned(),
                keys: None,
            };
        }
        let (bucket, keys) = match text.split_once('/') {
            Some((bucket, keys)) => (bucket, Some(keys.to_owned())),
            None => (text.as_str(), None),
        };
        let of = match bucket
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix(".Arn}"))
        {
            Some(name) => name.to_owned(),
            None => self.bucket_called(bucket).unwrap_or(bucket).to_owned(),
        };
        Place { of, keys }
    }

    /// Returns the queue that an ARN spells out, as rights on what may not be there have to.
    fn queue_at(&self, arn: &str) -> Option<&str> {
        let place = "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:";
        let name = arn.strip_prefix(place)?;
        let queues = self.all("AWS::SQS::Queue").into_iter();
        let mut called = queues.filter(|(_, queue)| words(&queue["QueueName"]) == name);
        called.next().map(|(logical, _)| logical)
    }

    fn bucket_called(&self, arn: &str) -> Option<&str> {
        let name = arn.strip_prefix("arn:${AWS::Partition}:s3:::")?;
        let buckets = self.all("AWS::S3::Bucket");
        buckets
            .into_iter()
            .find(|(_, bucket)| words(&bucket["BucketName"]) == name)
            .map(|(logical, _)| logical)
    }
}

/// Returns the logical name that `!Ref X` or `!GetAtt X.Arn` names.
pub(super) fn named(value: &Value) -> Option<&str> {
    let name = value
        .get("Ref")
        .or_else(|| value.get("Fn::GetAtt"))?
        .as_str()?;
    Some(name.split('.').next().unwrap_or(name))
}

/// Returns the text of a string or of a `!Sub`.
pub(super) fn words(value: &Value) -> String {
    let text = value.get("Fn::Sub").unwrap_or(value);
    text.as_str()
        .map_or_else(|| text.to_string(), str::to_owned)
}

/// Returns the elements of a list; what is no list is one element, nothing none.
pub(super) fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().collect(),
        one => vec![one],
    }
}

fn plain(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(scalar) => match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => json!(value),
            Scalar::Integer(value) => json!(value),
            Scalar::FloatingPoint(value) => json!(value.into_inner()),
            Scalar::String(value) => json!(value),
        },
        Yaml::Sequence(values) => values.iter().map(plain).collect(),
        Yaml::Mapping(pairs) => {
            let key = |key: &Yaml<'_>| key.as_str().expect("keys are text").to_owned();
            let pairs = pairs.iter().map(|(name, value)| (key(name), plain(value)));
            Value::Object(pairs.collect())
        }
        Yaml::Tagged(tag, value) => {
            let name = match tag.suffix.as_str() {
                name @ ("Ref" | "Condition") => name.to_owned(),
                name => format!("Fn::{name}"),
            };
            json!({ name: plain(value) })
        }
        other => panic!("{other:?} has no place in a template: CloudFormation takes no aliases"),
    }
}
