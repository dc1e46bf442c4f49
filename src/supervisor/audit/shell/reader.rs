//! Reads characters into commands.

use std::{iter::Peekable, mem, str::Chars};

use super::command::{Command, Document, Script, Word};

/// Most commands of one text.
const MAX_COMMANDS: usize = 20_000;
/// Most words of one command.
const MAX_WORDS: usize = 2_000;
/// Deepest `$(… $(…))` that is looked into.
const MAX_DEPTH: usize = 6;

/// Reads a text whose first line has this number.
pub(in crate::supervisor::audit) fn read(text: &str, first_line: usize) -> Script {
    read_nested(text, first_line, 0)
}

/// A text's words alone, as compose splits `command: geth --http`.
pub(in crate::supervisor::audit) fn words(text: &str) -> Vec<String> {
    let script = read(text, 1);
    script.commands.into_iter().flat_map(|command| command.words).map(|word| word.text).collect()
}

fn read_nested(text: &str, first_line: usize, depth: usize) -> Script {
    let mut reader = Reader {
        rest: text.chars().peekable(),
        line: first_line,
        out: Script::default(),
        command: Command::default(),
        word: None,
        awaits: Awaits::Word,
        here: Vec::new(),
        nested: Vec::new(),
    };
    reader.read();
    let mut out = reader.out;
    if depth < MAX_DEPTH {
        for (line, inner) in reader.nested {
            let inner = read_nested(&inner, line, depth + 1);
            let room = MAX_COMMANDS.saturating_sub(out.commands.len());
            out.commands.extend(inner.commands.into_iter().take(room));
            out.documents.extend(inner.documents);
        }
    }
    out
}

/// What the next word is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaits {
    Word,
    /// A file that is written to.
    Written,
    /// A file that is read, or a text that is given: of no interest.
    Ignored,
    /// The word that ends a here-document; whether tabs before it count for nothing.
    Delimiter(bool),
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
    out: Script,
    command: Command,
    word: Option<Word>,
    awaits: Awaits,
    here: Vec<(String, bool)>,
    /// What stood in `$(…)`.
    nested: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(c) = self.next() {
            if self.out.commands.len() >= MAX_COMMANDS {
                return;
            }
            match c {
                '\n' => {
                    self.end_word();
                    let is_piped = self.end_command();
                    self.command.is_piped_into = is_piped;
                    self.documents();
                }
                ' ' | '\t' | '\r' => self.end_word(),
                '#' if self.word.is_none() => while self.next_if(|c| c != '\n').is_some() {},
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c) => self.push(c),
                },
                '\'' => {
                    self.begin();
                    while let Some(c) = self.next().filter(|c| *c != '\'') {
                        self.push(c);
                    }
                }
                '"' => self.quoted(),
                '`' => {
                    self.begin();
                    let line = self.line;
                    let mut inner = String::new();
                    while let Some(c) = self.next().filter(|c| *c != '`') {
                        inner.push(c);
                    }
                    self.nested.push((line, inner));
                }
                '$' => self.dollar(),
                '|' => {
                    self.end_word();
                    let is_pipe = self.next_if(|c| c == '|').is_none();
                    self.next_if(|c| c == '&');
                    self.end_command();
                    self.command.is_piped_into = is_pipe;
                }
                '&' => {
                    if self.next_if(|c| c == '>').is_some() {
                        self.end_word();
                        self.next_if(|c| c == '>');
                        self.awaits = Awaits::Written;
                    } else {
                        self.end_word();
                        self.next_if(|c| c == '&');
                        self.end_command();
                    }
                }
                ';' | '(' | ')' => {
                    self.end_word();
                    self.end_command();
                }
                '>' => {
                    self.end_descriptor();
                    self.next_if(|c| c == '>' || c == '|');
                    // `2>&1` goes nowhere new.
                    self.awaits =
                        if self.next_if(|c| c == '&').is_some() { Awaits::Ignored } else { Awaits::Written };
                }
                '<' => {
                    self.end_descriptor();
                    self.awaits = self.read_from();
                }
                c => self.push(c),
            }
        }
        self.end_word();
        self.end_command();
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn next_if(&mut self, wanted: impl FnOnce(char) -> bool) -> Option<char> {
        let c = self.rest.next_if(|c| wanted(*c))?;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    /// A word begins, if only an empty one.
    fn begin(&mut self) {
        let line = self.line;
        self.word.get_or_insert_with(|| Word { text: String::new(), line });
    }

    fn push(&mut self, c: char) {
        self.begin();
        if let Some(word) = &mut self.word {
            word.text.push(c);
        }
    }

    fn push_all(&mut self, text: &str) {
        self.begin();
        if let Some(word) = &mut self.word {
            word.text.push_str(text);
        }
    }

    /// `"…"`
    fn quoted(&mut self) {
        self.begin();
        while let Some(c) = self.next().filter(|c| *c != '"') {
            match c {
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c @ ('"' | '\\' | '$' | '`')) => self.push(c),
                    Some(c) => {
                        self.push('\\');
                        self.push(c);
                    }
                },
                '$' => self.dollar(),
                c => self.push(c),
            }
        }
    }

    /// `$NAME`, `${…}`, `$(…)`: stays in the word; the last is looked into later.
    fn dollar(&mut self) {
        self.push('$');
        if self.next_if(|c| c == '{').is_some() {
            self.push('{');
            while let Some(c) = self.next_if(|c| c != '\n') {
                self.push(c);
                if c == '}' {
                    break;
                }
            }
        } else if self.next_if(|c| c == '(').is_some() {
            let line = self.line;
            let inner = self.parenthesised();
            self.push_all("(…)");
            self.nested.push((line, inner));
        }
    }

    /// What is before the parenthesis that closes this one, quotes heeded.
    fn parenthesised(&mut self) -> String {
        let mut inner = String::new();
        let (mut open, mut quote) = (1_usize, None);
        while let Some(c) = self.next() {
            match (quote, c) {
                (None | Some('"'), '\\') => {
                    inner.push(c);
                    inner.extend(self.next());
                    continue;
                }
                (Some(q), c) if c == q => quote = None,
                (None, '"' | '\'') => quote = Some(c),
                (None, '(') => open += 1,
                (None, ')') => {
                    open -= 1;
                    if open == 0 {
                        break;
                    }
                }
                _ => {}
            }
            inner.push(c);
        }
        inner
    }

    /// After `<`: what comes.
    fn read_from(&mut self) -> Awaits {
        if self.next_if(|c| c == '<').is_none() {
            return Awaits::Ignored;
        }
        if self.next_if(|c| c == '<').is_some() {
            return Awaits::Ignored;
        }
        Awaits::Delimiter(self.next_if(|c| c == '-').is_some())
    }

    /// A number right before `<` or `>` is a file descriptor and no word.
    fn end_descriptor(&mut self) {
        if self.word.as_ref().is_some_and(|word| word.text.bytes().all(|b| b.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        match mem::replace(&mut self.awaits, Awaits::Word) {
            Awaits::Word if self.command.words.len() < MAX_WORDS => self.command.words.push(word),
            Awaits::Written if self.command.written.len() < MAX_WORDS => self.command.written.push(word),
            Awaits::Delimiter(without_tabs) => self.here.push((word.text, without_tabs)),
            Awaits::Word | Awaits::Written | Awaits::Ignored => {}
        }
    }

    /// Ends a command; whether there was none and a pipe is still open.
    fn end_command(&mut self) -> bool {
        let command = mem::take(&mut self.command);
        if command.words.is_empty() && command.written.is_empty() {
            return command.is_piped_into;
        }
        self.out.commands.push(command);
        false
    }

    /// After a line: the here-documents that it announced.
    fn documents(&mut self) {
        for (delimiter, without_tabs) in mem::take(&mut self.here) {
            let target = self.out.commands.last().and_then(|command| {
                command.written.last().or_else(|| command.words.first()).map(|word| word.text.clone())
            });
            let first_line = self.line;
            let mut text = String::new();
            loop {
                let mut line = String::new();
                let mut is_end = true;
                while let Some(c) = self.next() {
                    if c == '\n' {
                        is_end = false;
                        break;
                    }
                    line.push(c);
                }
                let bare = if without_tabs { line.trim_start_matches('\t') } else { &line };
                if bare.trim_end_matches('\r') == delimiter {
                    break;
                }
                text.push_str(&line);
                text.push('\n');
                if is_end {
                    break;
                }
            }
            let target = target.unwrap_or_default();
            self.out.documents.push(Document { target, line: first_line, text });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> Vec<Vec<String>> {
        let script = read(text, 1);
        let words = |command: Command| command.words.into_iter().map(|word| word.text).collect();
        script.commands.into_iter().map(words).collect()
    }

    #[test]
    fn words_quotes_comments_and_continued_lines() {
        assert_eq!(shown("a 'b  c' \"d \\\" e\" f\\ g # h\n"), [vec!["a", "b  c", "d \" e", "f g"]]);
        assert_eq!(
            shown("docker run \\\n  -p 1:2 \\\n  image\nnext"),
            [vec!["docker", "run", "-p", "1:2", "image"], vec!["next"]]
        );
        assert_eq!(shown("a;b&&c||d|e"), [["a"], ["b"], ["c"], ["d"], ["e"]]);
        assert_eq!(shown("x='{\"a\":'$B'}'"), [["x={\"a\":$B}"]]);
        assert_eq!(shown("a \"\" ''"), [["a", "", ""]]);
        assert_eq!(shown("# only\n\n"), Vec::<Vec<String>>::new());
    }

    #[test]
    fn lines_are_those_of_the_words() {
        let script = read("\na \\\n b\nc", 10);
        let lines: Vec<(String, usize)> = script
            .commands
            .into_iter()
            .flat_map(|command| command.words)
            .map(|word| (word.text, word.line))
            .collect();
        assert_eq!(lines, [("a".to_owned(), 11), ("b".to_owned(), 12), ("c".to_owned(), 13)]);
    }

    #[test]
    fn pipes_redirections_and_what_is_inside() {
        let script =
            read("echo \"0 2\" | crontab -\nCPU=$(top -bn1 | grep x) 2>/dev/null\na > f 2>&1 < g", 1);
        let of: Vec<(String, bool)> = script
            .commands
            .iter()
            .map(|command| (command.words[0].text.clone(), command.is_piped_into))
            .collect();
        assert_eq!(
            of,
            [
                ("echo".into(), false),
                ("crontab".into(), true),
                ("CPU=$(…)".into(), false),
                ("a".into(), false),
                ("top".into(), false),
                ("grep".into(), true),
            ]
        );
        assert_eq!(script.commands[3].written[0].text, "f");
        assert_eq!(script.commands[3].words.len(), 1);
        assert!(read("a |\n b", 1).commands[1].is_piped_into);
    }

    #[test]
    fn here_documents_are_set_apart() {
        let script = read("cat >> x.sh << 'EOF'\none $(two)\nEOF\nthree", 1);
        assert_eq!(
            script.documents,
            [Document { target: "x.sh".into(), line: 2, text: "one $(two)\n".into() }]
        );
        assert_eq!(script.commands[1].words[0], Word { text: "three".into(), line: 4 });
    }

    #[test]
    fn what_stands_before_a_command_is_left_out() {
        for (text, program, args) in [
            ("sudo -u geth /usr/bin/geth --http", "geth", 1),
            ("A=1 env B=2 docker run", "docker", 1),
            ("while ! pkill -USR1 x", "pkill", 2),
            ("$ docker ps", "docker", 1),
        ] {
            let script = read(text, 1);
            let found = script.commands[0].program().map(|(name, args)| (name.to_owned(), args.len()));
            assert_eq!(found, Some((program.to_owned(), args)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(text in ".{0,400}") {
            read(&text, 1);
        }

        #[test]
        fn nor_does_what_looks_like_shell(parts in prop::collection::vec(
            prop::sample::select(vec!["$(", ")", "`", "'", "\"", "\\", "\n", "<<", "<<-", "EOF", " ", "|", "&", ">", "#", "${", "}", "a", "é"]), 0..200)) {
            let text = parts.concat();
            let script = read(&text, 1);
            let last = text.matches('\n').count() + 1;
            prop_assert!(script.commands.iter().flat_map(|c| &c.words).all(|word| word.line >= 1 && word.line <= last));
        }
    }
}
