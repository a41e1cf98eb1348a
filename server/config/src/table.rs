//! Macros that make a type and its part of the table of keys from one description, so that neither can be without the
//! other.

/// A table with known keys: a struct, and how it is decoded. A field has its key's name, or another one behind `as`; a
/// default is TOML. `one_of` and `at_most_one_of` name keys that exclude one another, `only_with` those that have an effect only next to
/// others; `others` is a field for keys that
/// are known by their form.
macro_rules! table {
    (
        $(#[doc = $about:literal])+
        $(#[inherits($inherits:literal)])?
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident $(as $key:literal)?: $type:ty $(= $default:literal)?,
            )*
        }
        $(others $(#[doc = $others_doc:literal])+ $others:ident: $others_key:ty => $others_type:ty;)?
        $(one_of($($must:literal),+);)*
        $(at_most_one_of($($may:literal),+);)*
        $(only_with($($with:literal),+ => $($of:literal),+);)*
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)*
            $($(#[doc = $others_doc])+ pub $others: Vec<($others_key, $others_type)>,)?
        }

        impl $name {
            /// Its keys.
            pub const TABLE: &'static $crate::schema::TableShape = &$crate::schema::TableShape {
                name: stringify!($name),
                about: &[$($about),+],
                keys: &[$(
                    $crate::schema::Key {
                        name: table!(@key $field $($key)?),
                        about: &[$($doc),+],
                        shape: <$type as $crate::decode::Decode>::shape,
                        required: <$type as $crate::decode::Decode>::REQUIRED && table!(@none $($default)?),
                        default: table!(@default $($default)?),
                    },
                )*],
                groups: &[
                    $($crate::schema::Group { keys: &[$($must),+], required: true },)*
                    $($crate::schema::Group { keys: &[$($may),+], required: false },)*
                ],
                companions: &[$($crate::schema::Companions { keys: &[$($with),+], of: &[$($of),+] },)*],
                others: table!(@others $($($others_doc)+, $others_key, $others_type)?),
                inherits: table!(@inherits $($inherits)?),
            };
        }

        impl $crate::decode::Decode for $name {
            fn shape() -> $crate::schema::Shape {
                $crate::schema::Shape::Table(Self::TABLE)
            }

            fn decode(
                node: &$crate::tree::Node,
                context: &mut $crate::decode::Context<'_>,
            ) -> Option<Self> {
                let mut reader = $crate::decode::TableReader::open(node, Self::TABLE, context)?;
                // Each one before any is looked at, so that each tells what is wrong.
                $(let $field = reader.take::<$type>(table!(@key $field $($key)?));)*
                $(let $others = reader.others::<$others_key, $others_type>();)?
                Some(Self { $($field: $field?,)* $($others: $others?,)? })
            }
        }
    };
    (@key $field:ident $key:literal) => { $key };
    (@key $field:ident) => { stringify!($field) };
    (@default $default:literal) => { Some($default) };
    (@default) => { None };
    (@none $default:literal) => { false };
    (@none) => { true };
    (@inherits $value:literal) => { $value };
    (@inherits) => { false };
    (@others) => { None };
    (@others $($doc:literal)+, $key:ty, $type:ty) => {
        Some($crate::schema::Others {
            about: &[$($doc),+],
            names: &<$key as $crate::decode::FromText>::TEXT,
            accepts: <$key>::accepts,
            shape: <$type as $crate::decode::Decode>::shape,
        })
    };
}

/// One of a few words: an enumeration, and how it is decoded.
macro_rules! choice {
    (
        $(#[doc = $about:literal])+
        pub enum $name:ident {
            $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $name {
            /// The words.
            pub const WORDS: &'static [$crate::schema::Alternative] =
                &[$($crate::schema::Alternative { name: $word, about: &[$($doc),+] },)+];

            /// The word.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl $crate::decode::Decode for $name {
            fn shape() -> $crate::schema::Shape {
                $crate::schema::Shape::Choice(Self::WORDS)
            }

            fn decode(
                node: &$crate::tree::Node,
                context: &mut $crate::decode::Context<'_>,
            ) -> Option<Self> {
                let text = context.text(node, &<Self as $crate::decode::Decode>::shape())?;
                match text {
                    $($word => Some(Self::$variant),)+
                    other => {
                        $crate::choice::tell_no_choice(node, other, Self::WORDS, context);
                        None
                    }
                }
            }
        }
    };
}

/// Says of a type with [`crate::decode::FromText`] that it is decoded from a string.
macro_rules! from_text {
    ($($name:ty),+ $(,)?) => {
        $(
            impl $crate::decode::Decode for $name {
                fn shape() -> $crate::schema::Shape {
                    $crate::schema::Shape::Text(&<Self as $crate::decode::FromText>::TEXT)
                }

                fn decode(
                    node: &$crate::tree::Node,
                    context: &mut $crate::decode::Context<'_>,
                ) -> Option<Self> {
                    $crate::decode::decode_text(node, &<Self as $crate::decode::FromText>::TEXT, context)
                }
            }
        )+
    };
}
