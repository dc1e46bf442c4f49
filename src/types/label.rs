//! Names of states: an enum in code, one fixed name in tables, metrics and JSON.
//!
//! A state that is written down or shown is declared by [`labelled`], which says its name once. What a table holds may have been written by a
//! newer version: a [`Label`] keeps a name that is not known here as it came, so that a row is neither refused nor changed by being read.

use std::fmt;

use serde::{Serialize, Serializer};

/// A state that has a fixed name.
pub trait Labelled: Copy {
    /// Its name in tables, metrics and JSON.
    fn label(self) -> &'static str;

    /// The state of a name; `None` for a name of another version.
    fn parse(label: &str) -> Option<Self>;
}

/// Declares an enum whose variants have names: `label`, `parse`, [`Labelled`], `Display`, and serde by the same names. Plain enums have `ALL`;
/// those that hold other labelled ones (`or { Failed(CallFault) }`), whose names they take over, have `all`.
macro_rules! labelled {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $label:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize,
        )]
        $vis enum $name {
            $($(#[$variant_meta])* #[serde(rename = $label)] $variant,)+
        }

        impl $name {
            /// Every one, in the order of their declaration.
            $vis const ALL: [Self; [$($label),+].len()] = [$(Self::$variant),+];

            /// Its name in tables, metrics and JSON.
            $vis const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }

            /// The one of a name.
            $vis fn parse(label: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|known| known.label() == label)
            }
        }

        $crate::types::labelled!(@shown $name);
    };
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $label:literal,)+
        }
        or {
            $($(#[$group_meta:meta])* $group:ident($inner:ident),)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name {
            $($(#[$variant_meta])* $variant,)+
            $($(#[$group_meta])* $group($inner),)+
        }

        impl $name {
            /// Every one, in the order of their declaration.
            $vis fn all() -> impl Iterator<Item = Self> {
                [$(Self::$variant),+].into_iter()$(.chain($inner::ALL.into_iter().map(Self::$group)))+
            }

            /// Its name in tables, metrics and JSON.
            $vis const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                    $(Self::$group(inner) => inner.label(),)+
                }
            }

            /// The one of a name.
            $vis fn parse(label: &str) -> Option<Self> {
                Self::all().find(|known| known.label() == label)
            }
        }

        $(
            impl From<$inner> for $name {
                fn from(inner: $inner) -> Self {
                    Self::$group(inner)
                }
            }
        )+

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.label())
            }
        }

        $crate::types::labelled!(@shown $name);
    };
    (@shown $name:ident) => {
        impl $crate::types::Labelled for $name {
            fn label(self) -> &'static str {
                self.label()
            }

            fn parse(label: &str) -> Option<Self> {
                Self::parse(label)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.label())
            }
        }
    };
}
pub(crate) use labelled;

/// A state as a record has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label<T> {
    /// One that this version knows.
    Known(T),
    /// The name of a state of another version.
    Other(Box<str>),
}

impl<T: Labelled> Label<T> {
    /// Reads a name.
    pub fn read(label: &str) -> Self {
        T::parse(label).map_or_else(|| Self::Other(label.into()), Self::Known)
    }

    /// The state, where this version knows it.
    pub const fn known(&self) -> Option<T> {
        match self {
            Self::Known(state) => Some(*state),
            Self::Other(_) => None,
        }
    }

    /// The name, known or not.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(state) => state.label(),
            Self::Other(label) => label,
        }
    }
}

impl<T: Default> Default for Label<T> {
    fn default() -> Self {
        Self::Known(T::default())
    }
}

impl<T> From<T> for Label<T> {
    fn from(state: T) -> Self {
        Self::Known(state)
    }
}

impl<T: PartialEq> PartialEq<T> for Label<T> {
    fn eq(&self, other: &T) -> bool {
        match self {
            Self::Known(state) => state == other,
            Self::Other(_) => false,
        }
    }
}

impl<T: Labelled> fmt::Display for Label<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<T: Labelled> Serialize for Label<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    labelled! {
        /// For these tests.
        enum Light {
            Red = "red",
            AmberFlashing = "amber_flashing",
        }
    }

    #[test]
    fn a_name_is_the_same_in_tables_json_and_text() {
        for light in Light::ALL {
            assert_eq!(Light::parse(light.label()), Some(light));
            assert_eq!(light.to_string(), light.label());
            let json = serde_json::to_string(&light).unwrap();
            assert_eq!(json, format!("\"{light}\""));
            assert_eq!(serde_json::from_str::<Light>(&json).unwrap(), light);
            assert_eq!(serde_json::to_string(&Label::from(light)).unwrap(), json);
        }
        assert_eq!(Light::ALL.len(), 2);
    }

    labelled! {
        /// For these tests.
        enum Signal {
            Off = "off",
        }
        or {
            /// Something shines.
            On(Light),
        }
    }

    #[test]
    fn a_state_takes_over_the_names_of_those_it_holds() {
        assert_eq!(Signal::all().map(Signal::label).collect::<Vec<_>>(), ["off", "red", "amber_flashing"]);
        assert_eq!(Signal::parse("red"), Some(Light::Red.into()));
        assert_eq!(Signal::parse("green"), None);
        assert_eq!(serde_json::to_string(&Signal::On(Light::Red)).unwrap(), "\"red\"");
    }

    #[test]
    fn a_name_of_another_version_is_kept_as_it_came() {
        let known = Label::<Light>::read("red");
        assert_eq!((known.known(), known.as_str()), (Some(Light::Red), "red"));
        let newer = Label::<Light>::read("green");
        assert_eq!((newer.known(), newer.as_str()), (None, "green"));
        assert!(newer != Light::Red);
        assert_eq!(serde_json::to_string(&newer).unwrap(), "\"green\"");
    }
}
