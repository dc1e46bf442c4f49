//! Tests of renderers and classifiers.
