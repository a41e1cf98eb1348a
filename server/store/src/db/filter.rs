//! Statements of listings: conditions that are put together from fixed texts; what users give is never part
//! of a statement's text.

use super::Value;
use crate::types::PageSize;

/// The conditions of a statement, and their values.
pub struct Filter {
    conditions: String,
    values: Vec<Value>,
}

impl Filter {
    pub fn new() -> Self {
        Self { conditions: String::new(), values: Vec::new() }
    }

    /// A condition without a value.
    pub fn add_text(&mut self, condition: &'static str) {
        self.conditions.push_str(if self.conditions.is_empty() { " WHERE " } else { " AND " });
        self.conditions.push_str(condition);
    }

    /// A condition that ends with a value.
    pub fn add(&mut self, condition: &'static str, value: impl Into<Value>) {
        self.add_text(condition);
        self.add_value(value);
    }

    /// A condition, if there is a value for it.
    pub fn add_if(&mut self, condition: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(condition, value);
        }
    }

    /// A condition that begins with a bracket, and ends with a value and the other bracket.
    pub fn add_in_brackets(&mut self, condition: &'static str, value: impl Into<Value>) {
        self.add(condition, value);
        self.conditions.push(')');
    }

    /// A condition that ends with these values in brackets.
    pub fn add_row(&mut self, condition: &'static str, values: Vec<Value>) {
        self.add_text(condition);
        let mut sign = '(';
        for value in values {
            self.conditions.push(sign);
            self.add_value(value);
            sign = ',';
        }
        self.conditions.push(')');
    }

    fn add_value(&mut self, value: impl Into<Value>) {
        self.values.push(value.into());
        self.conditions.push('$');
        self.conditions.push_str(&self.values.len().to_string());
    }

    /// The statement for a page, and its values.
    pub fn select(self, select: &'static str, order: &'static str, size: PageSize) -> (String, Vec<Value>) {
        self.select_at_most(select, order, size.rows())
    }

    /// The statement for this many rows, and its values.
    pub fn select_at_most(
        mut self,
        select: &'static str,
        order: &'static str,
        rows: i64,
    ) -> (String, Vec<Value>) {
        self.values.push(Value::from(rows));
        let (conditions, limit) = (&self.conditions, self.values.len());
        (format!("{select}{conditions} ORDER BY {order} LIMIT ${limit}"), self.values)
    }
}
