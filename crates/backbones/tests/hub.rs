//! Files from a hub, which is a small server in this process.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use sconce_backbones::weights::{
    WeightsError,
    hub::{HubConfig, HubFile, TORCHVISION, fetch},
    read_weights,
};

/// How the server treats the file that it has.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Whole,
    /// Half of what was announced.
    BreaksOff,
}

const PATH: &str = "/timm/resnet18.tv_in1k/resolve/main/model.safetensors";

/// A server with one file; its address, and how often it was asked.
fn serve(manner: Manner) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            counter.fetch_add(1, Ordering::SeqCst);
            // A client that goes away is no fault of the server's.
            let _ = answer(stream, manner);
        }
    });
    (address, asked)
}

fn answer(mut stream: TcpStream, manner: Manner) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut range = None;
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("range: bytes=") {
            range = Some(value.to_owned());
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    if path != PATH {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let file = file();
    let (first, last) = range.as_deref().and_then(|r| r.split_once('-')).unwrap_or(("0", ""));
    let first: usize = first.parse().unwrap();
    let end = if last.is_empty() { file.len() } else { last.parse::<usize>().unwrap() + 1 };
    let part = &file[first..end];
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{}/{}\r\nContent-Length: {}\r\nETag: \"e7a6\"\r\n\
         X-Repo-Commit: 0123456789abcdef\r\nConnection: close\r\n\r\n",
        end - 1,
        file.len(),
        part.len()
    );
    stream.write_all(head.as_bytes())?;
    let breaks_off = manner == Manner::BreaksOff && part.len() > 1;
    stream.write_all(if breaks_off { &part[..part.len() / 2] } else { part })
}

fn file() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/basic.safetensors")).unwrap()
}

fn resnet18() -> HubFile {
    HubFile::torchvision("resnet18").unwrap()
}

fn config(cache: &tempfile::TempDir, endpoint: &str) -> HubConfig {
    HubConfig { cache: Some(cache.path().to_owned()), endpoint: Some(endpoint.to_owned()) }
}

#[track_caller]
fn assert_refused(file: &HubFile, config: &HubConfig, what: &str) {
    let error = fetch(file, config).unwrap_err();
    assert!(matches!(error, WeightsError::Hub { .. }), "{error}");
    let message = error.to_string();
    for part in [&file.repo, &file.file, config.endpoint.as_ref().unwrap(), what] {
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
}

#[test]
fn a_file_is_fetched_once() {
    let cache = tempfile::tempdir().unwrap();
    let (server, asked) = serve(Manner::Whole);
    let path = fetch(&resnet18(), &config(&cache, &server)).unwrap();
    assert!(path.starts_with(cache.path()), "{}", path.display());
    assert_eq!(std::fs::read(&path).unwrap(), file());
    assert_eq!(read_weights(&path).unwrap().tensor("conv1.weight").unwrap().dims(), [4, 3, 7, 7]);
    let before = asked.load(Ordering::SeqCst);
    assert!(before > 0);
    assert_eq!(fetch(&resnet18(), &config(&cache, &server)).unwrap(), path);
    assert_eq!(asked.load(Ordering::SeqCst), before);
}

#[test]
fn what_is_not_there_is_named() {
    let cache = tempfile::tempdir().unwrap();
    let (server, _) = serve(Manner::Whole);
    assert_refused(&HubFile::new("timm/resnet18.tv_in1k", "model.bin"), &config(&cache, &server), "404");
    let other = HubFile { revision: "v2".to_owned(), ..resnet18() };
    assert_refused(&other, &config(&cache, &server), "v2");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let cache = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    assert_refused(&resnet18(), &config(&cache, &format!("http://{address}")), "request error");
}

#[test]
fn half_a_file_is_no_file_and_the_rest_is_fetched_later() {
    let cache = tempfile::tempdir().unwrap();
    let (server, _) = serve(Manner::BreaksOff);
    assert_refused(&resnet18(), &config(&cache, &server), "");
    let (server, _) = serve(Manner::Whole);
    let path = fetch(&resnet18(), &config(&cache, &server)).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), file());
}

#[test]
fn networks_are_known_by_torchvisions_names() {
    for network in TORCHVISION {
        let file = HubFile::torchvision(network).unwrap();
        assert_eq!((file.repo, &file.file[..]), (format!("timm/{network}.tv_in1k"), "model.safetensors"));
    }
    assert_eq!(HubFile::torchvision("resnet19"), None);
}
