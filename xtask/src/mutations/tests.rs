//! All of it on a package that is built in a second.

use std::path::PathBuf;

use super::*;

const LIB: &str = "pub fn sum(a: u32, b: u32) -> u32 {\n    a + b\n}\n\npub fn twice(a: u32) -> u32 {\n    a * 2\n}\n\n\
                   pub fn unused(a: u32) -> u32 {\n    a\n}\n";

const TESTS: &str = "#[test]\nfn sums() {\n    assert_eq!(toy::sum(2, 3), 5);\n}\n\n#[test]\nfn doubles() {\n    \
                     assert_eq!(toy::twice(3), 6);\n}\n\n#[test]\nfn fails() {\n    panic!();\n}\n";

/// A repository with one package and mutations of it.
struct Toy {
    root: PathBuf,
}

impl Drop for Toy {
    fn drop(&mut self) {
        // What is left in the folder for temporary files does no harm.
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Toy {
    fn new(name: &str, tests: &str) -> Self {
        let root = std::env::temp_dir().join(format!("sconce-xtask-{name}-{}", std::process::id()));
        let toy = Self { root };
        let manifest = "[package]\nname = \"toy\"\nedition = \"2024\"\n\n[workspace]\n";
        for (path, text) in [
            ("Cargo.toml", manifest),
            ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"toy\"\nversion = \"0.0.0\"\n"),
            ("src/lib.rs", LIB),
            ("tests/it.rs", tests),
            (".gitignore", "/target\n"),
        ] {
            toy.write(path, text);
        }
        assert!(workspace::git(&toy.root).args(["init", "--quiet"]).status().unwrap().success());
        toy
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A mutation that makes of line `from` of the library the line `to`.
    fn mutation(&self, name: &str, test: &str, from: &str, to: &str) -> Mutation {
        let line = LIB.lines().position(|line| line == from).unwrap() + 1;
        let text = format!(
            "Something.\npackage: toy\nfeatures:\ntest: --test it {test}\n\ndiff --git a/src/lib.rs b/src/lib.rs\n\
             --- a/src/lib.rs\n+++ b/src/lib.rs\n@@ -{},3 +{},3 @@\n {}\n-{from}\n+{to}\n }}\n",
            line - 1,
            line - 1,
            LIB.lines().nth(line - 2).unwrap(),
        );
        let path = format!("{FOLDER}/{name}.patch");
        self.write(&path, &text);
        Mutation::read(&self.root.join(path)).unwrap()
    }

    fn scratch(&self) -> Result<Scratch> {
        Scratch::open(&self.root, &self.root.join("target/mutations"))
    }
}

#[test]
fn mutations_are_caught_survive_or_do_not_build() {
    let toy = Toy::new("verdicts", TESTS);
    let mutations = [
        toy.mutation("caught", "sums", "    a + b", "    a - b.min(a)"),
        toy.mutation("no-code", "sums", "    a * 2", "    a * \"2\""),
        toy.mutation("no-test", "nothing", "    a * 2", "    a * 3"),
        toy.mutation("unsound", "fails", "    a * 2", "    a * 3"),
        toy.mutation("by-others-unsound", "sums", "    a * 2", "    a * 3"),
    ];
    let scratch = toy.scratch().unwrap();
    assert!(toy.scratch().is_err_and(|error| error.to_string().contains("in use")));
    let verdicts = run_all(&scratch, &mutations).unwrap();
    assert_eq!(verdicts[0], Verdict::Caught { tests: vec!["sums".to_owned()] });
    assert!(matches!(&verdicts[1], Verdict::DoesNotBuild(messages) if messages.contains("error[E0277]")));
    for (verdict, why) in verdicts[2..].iter().zip(["runs no test", "fails without", "fails without"]) {
        assert!(matches!(verdict, Verdict::Undecided(found) if found.contains(why)), "{verdict}");
    }
    assert!(summary(&verdicts).starts_with("5 mutations: 1 caught, 1 do not build, 3 undecided"));
    assert_eq!(fs::read_to_string(toy.root.join("src/lib.rs")).unwrap(), LIB, "the working tree is not touched");
    assert_eq!(fs::read_to_string(toy.root.join("target/mutations/tree/src/lib.rs")).unwrap(), LIB);
}

#[test]
fn the_other_tests_of_the_package_have_their_say() {
    let toy = Toy::new("others", TESTS.split("#[test]\nfn fails").next().unwrap());
    let mutations = [
        toy.mutation("by-others", "sums", "    a * 2", "    a * 3"),
        toy.mutation("survivor", "sums", "    a", "    a + 1"),
    ];
    let verdicts = run_all(&toy.scratch().unwrap(), &mutations).unwrap();
    assert_eq!(verdicts, [Verdict::CaughtByOthers { tests: vec!["doubles".to_owned()] }, Verdict::Survived]);
}

/// As after Ctrl-C: what an earlier call has left in the copy is gone, and what is the same is not written again.
#[test]
fn the_copy_is_restored_at_the_next_start() {
    let toy = Toy::new("restored", TESTS);
    let mutation = toy.mutation("left", "sums", "    a + b", "    a - b.min(a)");
    let tree = toy.root.join("target/mutations/tree");
    toy.scratch().unwrap().apply(&mutation).unwrap();
    assert!(fs::read_to_string(tree.join("src/lib.rs")).unwrap().contains("b.min(a)"));
    fs::write(tree.join("tests/new.rs"), "left by a test").unwrap();
    let written = |path: &str| fs::metadata(tree.join(path)).unwrap().modified().unwrap();
    let before = written("tests/it.rs");
    toy.scratch().unwrap();
    assert_eq!(fs::read_to_string(tree.join("src/lib.rs")).unwrap(), LIB);
    assert!(!tree.join("tests/new.rs").exists() && !tree.join(FOLDER).exists());
    assert_eq!(written("tests/it.rs"), before);
}

#[test]
fn a_patch_that_no_longer_applies_is_found() {
    let toy = Toy::new("stale", TESTS);
    let mutation = toy.mutation("stale", "sums", "    a + b", "    a");
    mutation.check(&toy.root).unwrap();
    toy.write("src/lib.rs", &LIB.replace("a + b", "b + a"));
    let error = mutation.check(&toy.root).unwrap_err().to_string();
    assert!(error.contains("src/lib.rs"), "{error}");
}

#[test]
fn a_filter_wants_one_of_its_words() {
    let toy = Toy::new("filter", TESTS);
    for name in ["core-a", "core-b", "data-a"] {
        toy.mutation(name, "sums", "    a + b", "    a");
    }
    let names = |filters: &[&str]| {
        let filters: Vec<String> = filters.iter().map(|&word| word.to_owned()).collect();
        let chosen = select(read(&toy.root.join(FOLDER)).unwrap(), &filters)?;
        Ok::<_, anyhow::Error>(chosen.into_iter().map(|mutation| mutation.name).collect::<Vec<_>>())
    };
    assert_eq!(names(&[]).unwrap(), ["core-a", "core-b", "data-a"]);
    assert_eq!(names(&["core-b", "data"]).unwrap(), ["core-b", "data-a"]);
    assert!(names(&["moco"]).is_err_and(|error| error.to_string().contains("data-a")));
}
