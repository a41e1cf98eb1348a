//! Names of other definitions.

use std::marker::PhantomData;

use crate::decode::{Context, Decode};
use crate::schema::Shape;
use crate::source::Origin;
use crate::tree::Node;
use crate::values::name::Name;

/// What can be named.
pub trait Definable {
    /// The key under which definitions of it stand.
    const KEY: &'static str;
}

/// The name of another definition, which is there once a configuration is.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference<K> {
    /// The name.
    pub name: String,
    /// Where it is named.
    pub origin: Origin,
    kind: PhantomData<K>,
}

impl<K: Definable> Decode for Reference<K> {
    fn shape() -> Shape {
        Name::shape()
    }

    /// Remembers the name as well: whether it is defined is told even if other parts of what names it can't be decoded.
    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let Name(name) = Name::decode(node, context)?;
        context.name(K::KEY, &name, node.origin);
        Some(Self { name, origin: node.origin, kind: PhantomData })
    }
}
