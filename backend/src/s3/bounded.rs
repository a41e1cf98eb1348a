//! Bounds the answers that the SDK reads into memory as a whole: listings, errors, and answers to creates. A
//! store that never ends such an answer must not use up all memory. Objects are read in pieces, and their
//! readers know how long they may be.

use std::pin::Pin;
use std::task::{Context, Poll};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use bytes::Bytes;
use http_body::{Body, Frame};

/// A page of a listing has at most 1000 names of 1 KiB, and XML may write each byte as six.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Cuts answers that are longer than any correct answer. A cut answer is then treated like one that broke
/// off: by its status, or as a page without its end.
#[derive(Debug)]
pub(super) struct BoundedAnswers;

impl Intercept for BoundedAnswers {
    fn name(&self) -> &'static str {
        "bounded answers"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response_mut();
        let is_get = config.load::<Metadata>().is_some_and(|operation| operation.name() == "GetObject");
        if !(is_get && answer.status().is_success()) {
            let body = answer.take_body();
            *answer.body_mut() = SdkBody::from_body_1_x(Bounded { body, left: ANSWER_BYTES_MAX });
        }
        Ok(())
    }
}

/// A body that ends after a number of bytes.
struct Bounded {
    body: SdkBody,
    left: u64,
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.left = self.left.saturating_sub(bytes);
        }
        frame
    }
}
