//! Puts defaults where keys are missing, so that an effective definition shows them.

use crate::schema::{Companions, Shape, TableShape};
use crate::source::Origin;
use crate::tree::{Entry, Node, Table, Value, parse_default};

/// Fills in the defaults of a value.
pub(crate) fn fill(node: &mut Node, shape: &Shape) {
    match (&mut node.value, shape) {
        (Value::Table(table), Shape::AnyOf(shapes)) => {
            if let Some(Shape::Table(shape)) = shapes.iter().find(|shape| matches!(shape, Shape::Table(_))) {
                fill_table(table, shape);
            }
        }
        (Value::List(list), Shape::AnyOf(shapes)) => {
            if let Some(Shape::List { of, .. }) =
                shapes.iter().find(|shape| matches!(shape, Shape::List { .. }))
            {
                list.iter_mut().for_each(|node| fill(node, of));
            }
        }
        (Value::Table(table), Shape::Table(shape)) => fill_table(table, shape),
        (Value::Table(table), Shape::Map { of, .. }) => {
            table.entries.values_mut().for_each(|entry| fill(&mut entry.node, of));
        }
        (Value::List(list), Shape::List { of, .. }) => list.iter_mut().for_each(|node| fill(node, of)),
        _ => {}
    }
}

fn fill_table(table: &mut Table, shape: &'static TableShape) {
    for key in shape.keys {
        let Some(default) = key.default else { continue };
        // A key that excludes this one says that it isn't wanted, and one that would have no effect says nothing.
        let is_here = |key: &&str| table.entries.contains_key(*key);
        let is_alone = |companions: &Companions| {
            companions.keys.contains(&key.name) && !companions.of.iter().any(is_here)
        };
        let is_excluded =
            shape.rivals(key.name).any(|rival| is_here(&rival)) || shape.companions.iter().any(is_alone);
        if !table.entries.contains_key(key.name) && !is_excluded {
            let node = parse_default(default);
            table.entries.insert(key.name.to_owned(), Entry { key: Origin::DEFAULT, node });
        }
    }
    for (key, entry) in &mut table.entries {
        if let Some(shape) = shape.shape_of(key) {
            fill(&mut entry.node, &shape);
        }
    }
}
