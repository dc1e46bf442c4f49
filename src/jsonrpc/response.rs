//! Answers.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json, value::RawValue};

use super::error::RpcError;

/// The answer to one call.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// The call's id; `null` where it could not be read.
    pub id: Option<&'a RawValue>,
    /// Its result, or what was wrong.
    pub outcome: Result<Value, RpcError>,
}

impl Serialize for Response<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("jsonrpc", "2.0")?;
        map.serialize_entry("id", &self.id)?;
        match &self.outcome {
            Ok(result) => map.serialize_entry("result", result)?,
            Err(error) => {
                let error = json!({ "code": error.code.number(), "message": error.message });
                map.serialize_entry("error", &error)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_the_shape_of_the_specification() {
        let id = RawValue::from_string("7".to_owned()).unwrap();
        let ok = Response { id: Some(&id), outcome: Ok(json!(true)) };
        assert_eq!(serde_json::to_string(&ok).unwrap(), r#"{"jsonrpc":"2.0","id":7,"result":true}"#);
        let wrong = Response { id: None, outcome: Err(RpcError::params("no")) };
        assert_eq!(
            serde_json::to_value(&wrong).unwrap(),
            json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32602, "message": "no"}})
        );
    }
}
