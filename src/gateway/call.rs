//! One call, as it is passed on: its method and its parameters as they came. Ids are whoever asks' own business: an upstream is asked with ids of
//! ours, so that one answer can serve several clients.

use std::sync::Arc;

use bytes::Bytes;

use super::Hops;

/// A call. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RpcCall {
    /// The method's name.
    pub method: Arc<str>,
    /// The parameters, as JSON text: `[]` where there were none.
    pub params: Bytes,
    /// The gateways that it has come through. Calls that came by other ways are other calls.
    pub hops: Hops,
}

impl RpcCall {
    /// A call of a method with parameters that are JSON text already.
    pub fn new(method: impl Into<Arc<str>>, params: impl Into<Bytes>) -> Self {
        Self { method: method.into(), params: params.into(), hops: Hops::default() }
    }

    /// A call without parameters.
    pub fn bare(method: impl Into<Arc<str>>) -> Self {
        Self::new(method, Bytes::from_static(b"[]"))
    }

    /// As the body of a request with an id.
    pub fn to_body(&self, id: u64) -> Bytes {
        Bytes::from(self.text(id))
    }

    /// Several calls as the body of a batch; the ids count from 0.
    pub fn to_batch(calls: &[Self]) -> Bytes {
        let mut text = Vec::with_capacity(2 + calls.iter().map(|call| call.params.len() + 96).sum::<usize>());
        text.push(b'[');
        for (id, call) in (0_u64..).zip(calls) {
            if id > 0 {
                text.push(b',');
            }
            text.extend_from_slice(&call.text(id));
        }
        text.push(b']');
        Bytes::from(text)
    }

    fn text(&self, id: u64) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.params.len() + self.method.len() + 64);
        text.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
        text.extend_from_slice(id.to_string().as_bytes());
        text.extend_from_slice(b",\"method\":");
        // A name may hold anything that a client wrote.
        text.extend_from_slice(serde_json::Value::from(&*self.method).to_string().as_bytes());
        text.extend_from_slice(b",\"params\":");
        text.extend_from_slice(&self.params);
        text.push(b'}');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_written_as_the_specification_has_it() {
        let call = RpcCall::new("eth_call", &b"[{\"to\":\"0x1\"},\"latest\"]"[..]);
        let text = call.to_body(7);
        assert_eq!(
            text,
            &br#"{"jsonrpc":"2.0","id":7,"method":"eth_call","params":[{"to":"0x1"},"latest"]}"#[..]
        );
        let batch = RpcCall::to_batch(&[RpcCall::bare("a\"b"), RpcCall::bare("c")]);
        let read: serde_json::Value = serde_json::from_slice(&batch).unwrap();
        assert_eq!((read[0]["method"].as_str(), read[1]["id"].as_u64()), (Some("a\"b"), Some(1)));
    }
}
