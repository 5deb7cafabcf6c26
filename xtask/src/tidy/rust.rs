//! Just enough of Rust's syntax to tell code from what stands in comments and strings.

/// `source` with its comments and the insides of its literals blanked out, line by line as before.
pub(super) fn code(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skip(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` itself if none does.
fn skip(chars: &[char], at: usize) -> usize {
    let ahead = |i: usize| chars.get(at + i).copied();
    let is_part_of_a_name = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if ahead(1) == Some('/') => find(chars, at, |rest| rest[0] == '\n').unwrap_or(chars.len()),
        '/' if ahead(1) == Some('*') => skip_block_comment(chars, at),
        '"' => skip_string(chars, at + 1),
        'b' | 'c' if !is_part_of_a_name && ahead(1) == Some('"') => skip_string(chars, at + 2),
        'b' | 'c' if !is_part_of_a_name && ahead(1) == Some('r') => skip_raw_string(chars, at, at + 2),
        'r' if !is_part_of_a_name => skip_raw_string(chars, at, at + 1),
        // `'a'` and `'\n'` are characters, `'a` is a lifetime.
        '\'' if ahead(1) == Some('\\') => find(chars, at + 3, |rest| rest[0] == '\'').map_or(chars.len(), |i| i + 1),
        '\'' if ahead(2) == Some('\'') => at + 3,
        _ => at,
    }
}

fn find(chars: &[char], from: usize, found: impl Fn(&[char]) -> bool) -> Option<usize> {
    (from..chars.len()).find(|&i| found(&chars[i..]))
}

fn skip_block_comment(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut i = at;
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                i += 1;
                continue;
            }
        }
        i += 2;
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

/// `at` is behind the opening quote.
fn skip_string(chars: &[char], at: usize) -> usize {
    let mut i = at;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

/// `hashes` is where the hashes of a raw string would begin; a raw identifier or a plain name ends at `at`.
fn skip_raw_string(chars: &[char], at: usize, hashes: usize) -> usize {
    let n = chars[hashes.min(chars.len())..].iter().take_while(|&&c| c == '#').count();
    if chars.get(hashes + n) != Some(&'"') {
        return at;
    }
    let closes = |rest: &[char]| rest[0] == '"' && rest.len() > n && rest[1..=n].iter().all(|&c| c == '#');
    find(chars, hashes + n + 1, closes).map_or(chars.len(), |i| i + 1 + n)
}

/// The lines (from 1) where `word` stands in `code`, not as a part of a longer name.
pub(super) fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let stands_alone = |(start, found): (usize, &str)| {
        let before = code[..start].chars().next_back().is_none_or(|c| !is_name(c));
        let after = code[start + found.len()..].chars().next().is_none_or(|c| !is_name(c));
        (before && after).then(|| line_of(code, start))
    };
    code.match_indices(word).filter_map(stands_alone).collect()
}

/// The line, from 1, of a byte.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    text[..byte].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        code(source).split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn comments_and_literals_are_blank() {
        assert_eq!(words("a // b\nc /* d /* e */ f */ g"), ["a", "c", "g"]);
        assert_eq!(words(r#"a "b \" c" d"#), ["a", "d"]);
        assert_eq!(words("a r#\"b \" c\"# d r\"e\\\" f"), ["a", "d", "f"]);
        assert_eq!(words("a b\"c\" br#\"d\"# e"), ["a", "e"]);
        assert_eq!(words(r"a 'b' '\'' '\u{1F600}' c"), ["a", "c"]);
    }

    #[test]
    fn names_and_lifetimes_stay() {
        assert_eq!(
            words("fn f<'a>(x: &'a str) r#type number\"x\""),
            ["fn", "f<'a>(x:", "&'a", "str)", "r#type", "number"]
        );
    }

    #[test]
    fn lines_stay_where_they_are() {
        let source = "a\n\"b\nc\"\n/* d\n*/ word";
        assert_eq!(lines_with(&code(source), "word"), [5]);
    }

    #[test]
    fn a_word_is_no_part_of_another() {
        assert_eq!(lines_with("sword\nwords\nword\nmy_word", "word"), [3]);
    }
}
