//! What each file of a source tree uses of the others, read from its tokens alone: comments and texts do not count.
//!
//! A path leads to the file that defines its name: `pub use` is a door that names go through, and no import, unless the file itself uses the
//! name. What comes through a glob counts as the module's that the glob is of. A method call names no file, so `impl` blocks of one
//! type may lie in several files.

use std::collections::{BTreeMap, BTreeSet};

/// A module's path from the crate's root: `["relay", "health"]`; the root itself is empty.
pub(super) type Module = Vec<String>;

/// A path as written, made absolute as far as that needs no other file: `super::x` in `a::b` is `a::x`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    path: Vec<String>,
    /// Only passed on: `pub use` of a name that the file itself does not use.
    is_door: bool,
}

#[derive(Debug, Default)]
struct File {
    named: BTreeSet<Named>,
    /// What a name stands for in this file by a `use`.
    aliases: BTreeMap<String, Vec<String>>,
}

/// Whether modules under `#[cfg(test)]` inside a file are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tests {
    Read,
    LeftOut,
}

/// A source tree's files and what they name.
pub(super) struct Tree {
    files: BTreeMap<Module, File>,
}

impl Tree {
    pub(super) fn read<'a>(sources: impl IntoIterator<Item = (Module, &'a str)>, tests: Tests) -> Self {
        let sources: BTreeMap<Module, &str> = sources.into_iter().collect();
        let modules: BTreeSet<Module> = sources.keys().cloned().collect();
        let read =
            |(module, text): (&Module, &&str)| (module.clone(), Reader::read(module, text, &modules, tests));
        Self { files: sources.iter().map(read).collect() }
    }

    /// The files that each file uses something of.
    pub(super) fn arrows(&self) -> BTreeMap<&Module, BTreeSet<&Module>> {
        let arrow = |module, file: &File| {
            let used = file.named.iter().filter(|named| !named.is_door);
            let used = used.filter_map(|named| self.home(&named.path, 0)).filter(|home| *home != module);
            (module, used.collect())
        };
        self.files.iter().map(|(module, file)| arrow(module, file)).collect()
    }

    /// The file that defines what a path names: through modules, then through the names that the last of them passes on.
    fn home(&self, path: &[String], passed: usize) -> Option<&Module> {
        let known = (0..=path.len()).rev().find(|length| self.files.contains_key(&path[..*length]))?;
        let (module, file) = self.files.get_key_value(&path[..known])?;
        let Some(name) = path.get(known) else { return Some(module) };
        match file.aliases.get(name) {
            // A name can be passed on in circles only by mistake.
            Some(alias) if passed < 16 && alias.as_slice() != path => {
                let whole: Vec<String> = alias.iter().chain(&path[known + 1..]).cloned().collect();
                // What comes from another crate is passed on by nobody of this house.
                self.home(&whole, passed + 1).or(Some(module))
            }
            Some(_) | None => Some(module),
        }
    }

    /// Files that reach each other: each set is a circle.
    pub(super) fn circles(&self) -> Vec<BTreeSet<&Module>> {
        let arrows = self.arrows();
        let reached = |from: &Module| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
            while let Some(at) = next.pop() {
                for to in arrows.get(at).into_iter().flatten() {
                    if seen.insert(*to) {
                        next.push(to);
                    }
                }
            }
            seen
        };
        let all: BTreeMap<&Module, BTreeSet<&Module>> =
            arrows.keys().map(|module| (*module, reached(module))).collect();
        let round = |module: &Module| -> BTreeSet<&Module> {
            let back = all[module].iter().filter(|other| all[**other].contains(module));
            back.copied().collect()
        };
        let circles: BTreeSet<BTreeSet<&Module>> =
            all.keys().map(|module| round(module)).filter(|set| !set.is_empty()).collect();
        circles.into_iter().collect()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Colons,
    Sign(char),
}

/// Words and signs of Rust text, without comments, texts, characters and lifetimes.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let find = |from: usize, wanted: &str| {
        let wanted: Vec<char> = wanted.chars().collect();
        (from..chars.len())
            .find(|index| chars[*index..].starts_with(&wanted))
            .map_or(chars.len(), |index| index + wanted.len())
    };
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut found, mut index) = (Vec::new(), 0);
    while index < chars.len() {
        let c = at(index);
        if c == '/' && at(index + 1) == '/' {
            index = find(index, "\n");
        } else if c == '/' && at(index + 1) == '*' {
            index = find(index, "*/");
        } else if c == '"' {
            index += 1;
            while index < chars.len() && at(index) != '"' {
                index += if at(index) == '\\' { 2 } else { 1 };
            }
            index += 1;
        } else if c == '\'' {
            // 'x', '\n' or a lifetime.
            index = if at(index + 1) == '\\' {
                find(index + 3, "'")
            } else if at(index + 2) == '\'' {
                index + 3
            } else {
                index + 1
            };
        } else if is_word(c) {
            let end = (index..chars.len()).find(|index| !is_word(chars[*index])).unwrap_or(chars.len());
            let word: String = chars[index..end].iter().collect();
            let hashes = (end..chars.len()).take_while(|index| chars[*index] == '#').count();
            if matches!(word.as_str(), "r" | "br") && at(end + hashes) == '"' {
                index = find(end + hashes + 1, &format!("\"{}", "#".repeat(hashes)));
                continue;
            }
            index = end;
            found.push(Token::Word(word));
        } else if c == ':' && at(index + 1) == ':' {
            found.push(Token::Colons);
            index += 2;
        } else {
            if !c.is_whitespace() {
                found.push(Token::Sign(c));
            }
            index += 1;
        }
    }
    found
}

/// Whether a text's code names a path, such as `["Clock", "system"]`.
pub(super) fn names(text: &str, path: &[&str]) -> bool {
    let steps = path.iter().map(|step| vec![Token::Word((*step).to_owned())]);
    let wanted: Vec<Token> = steps.collect::<Vec<_>>().join(&Token::Colons);
    tokens(text).windows(wanted.len()).any(|window| window == wanted)
}

struct Reader<'a> {
    module: &'a Module,
    modules: &'a BTreeSet<Module>,
    tests: Tests,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// Depths at which modules inside the file were opened.
    inner: Vec<usize>,
    file: File,
    /// `pub use`: path, and the name by which it is passed on.
    passed_on: Vec<(Vec<String>, String)>,
    /// Words outside of `use`.
    words: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    fn read(module: &'a Module, text: &str, modules: &'a BTreeSet<Module>, tests: Tests) -> File {
        let mut reader = Self {
            module,
            modules,
            tests,
            tokens: tokens(text),
            at: 0,
            depth: 0,
            inner: Vec::new(),
            file: File::default(),
            passed_on: Vec::new(),
            words: BTreeSet::new(),
        };
        while reader.at < reader.tokens.len() {
            reader.step();
        }
        let Self { passed_on, words, mut file, .. } = reader;
        for (path, name) in passed_on {
            file.named.insert(Named { path, is_door: !words.contains(&name) });
        }
        file
    }

    fn word(&self, index: usize) -> Option<&str> {
        match self.tokens.get(index) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn is(&self, index: usize, sign: char) -> bool {
        self.tokens.get(index) == Some(&Token::Sign(sign))
    }

    fn step(&mut self) {
        match self.tokens[self.at].clone() {
            Token::Word(word) if word == "use" => self.declaration(),
            Token::Word(word) if word == "mod" && self.is(self.at + 2, '{') => {
                if self.tests == Tests::LeftOut && self.is_for_tests() {
                    self.at += 2;
                    self.skip_block();
                } else {
                    self.inner.push(self.depth);
                    self.depth += 1;
                    self.at += 3;
                }
            }
            // A declaration names a file of its own, and says nothing of what is used in it.
            Token::Word(word) if word == "mod" && self.is(self.at + 2, ';') => self.at += 2,
            // `pub(in crate::a)` opens something, and uses nothing.
            Token::Word(word) if word == "in" && self.at > 1 && self.word(self.at - 2) == Some("pub") => {
                while self.at < self.tokens.len() && !self.is(self.at, ')') {
                    self.at += 1;
                }
            }
            Token::Word(_) => self.path(),
            Token::Sign('{') => {
                self.depth += 1;
                self.at += 1;
            }
            Token::Sign('}') => {
                self.depth = self.depth.saturating_sub(1);
                if self.inner.last() == Some(&self.depth) {
                    self.inner.pop();
                }
                self.at += 1;
            }
            Token::Colons | Token::Sign(_) => self.at += 1,
        }
    }

    /// Whether `#[cfg(test)]` stands before the word here, or before its `pub`.
    fn is_for_tests(&self) -> bool {
        let before: Vec<&Token> = self.tokens[self.at.saturating_sub(8)..self.at].iter().collect();
        before.windows(3).any(|three| {
            matches!(three, [Token::Word(cfg), Token::Sign('('), Token::Word(test)] if cfg == "cfg" && test == "test")
        })
    }

    fn skip_block(&mut self) {
        let mut depth = 0;
        while let Some(token) = self.tokens.get(self.at) {
            match token {
                Token::Sign('{') => depth += 1,
                Token::Sign('}') => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// `a::b::C` in code.
    fn path(&mut self) {
        let mut path = Vec::new();
        while let Some(word) = self.word(self.at).map(str::to_owned) {
            self.words.insert(word.clone());
            path.push(word);
            self.at += 1;
            if self.tokens.get(self.at) != Some(&Token::Colons) {
                break;
            }
            self.at += 1;
        }
        if path.len() > 1
            && let Some(path) = self.absolute(&path)
        {
            self.file.named.insert(Named { path, is_door: false });
        }
    }

    /// `use a::{b::C, d as e, f::*};`
    fn declaration(&mut self) {
        // `pub use`, `pub(super) use`
        let is_public = self.at > 0 && (self.word(self.at - 1) == Some("pub") || self.is(self.at - 1, ')'));
        self.at += 1;
        let mut leaves = Vec::new();
        self.branch(&[], &mut leaves);
        for (path, name) in leaves {
            let Some(path) = self.absolute(&path) else { continue };
            if self.inner.is_empty() && name != "*" && name != "_" {
                self.file.aliases.insert(name.clone(), path.clone());
            }
            if is_public {
                self.passed_on.push((path, name));
            } else {
                self.file.named.insert(Named { path, is_door: false });
            }
        }
    }

    fn branch(&mut self, before: &[String], leaves: &mut Vec<(Vec<String>, String)>) {
        let mut path = before.to_vec();
        loop {
            match self.tokens.get(self.at).cloned() {
                Some(Token::Word(word)) if word == "as" => {
                    let name = self.word(self.at + 1).unwrap_or("_").to_owned();
                    self.at += 2;
                    return leaves.push((path, name));
                }
                Some(Token::Word(word)) if word == "self" && !path.is_empty() => self.at += 1,
                Some(Token::Word(word)) => {
                    path.push(word);
                    self.at += 1;
                }
                Some(Token::Colons) => self.at += 1,
                Some(Token::Sign('*')) => {
                    self.at += 1;
                    return leaves.push((path, "*".to_owned()));
                }
                Some(Token::Sign('{')) => {
                    self.at += 1;
                    while !self.is(self.at, '}') && self.at < self.tokens.len() {
                        self.branch(&path, leaves);
                        if self.is(self.at, ',') {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                Some(Token::Sign(_)) | None => {
                    let name = path.last().cloned().unwrap_or_default();
                    return leaves.push((path, name));
                }
            }
        }
    }

    /// A path from the crate's root, or none where it leads into another crate.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let mut base = self.module.clone();
        match first.as_str() {
            "crate" => return Some(rest.to_vec()),
            "self" => return Some(base.into_iter().chain(rest.iter().cloned()).collect()),
            "super" => {
                let ups = path.iter().take_while(|word| *word == "super").count();
                for _ in self.inner.len()..ups {
                    base.pop();
                }
                return Some(base.into_iter().chain(path[ups..].iter().cloned()).collect());
            }
            _ => {}
        }
        base.push(first.clone());
        if self.modules.contains(&base) {
            return Some(base.into_iter().chain(rest.iter().cloned()).collect());
        }
        // Another crate's, or behind a name that a `use` of this file brought.
        None
    }
}
