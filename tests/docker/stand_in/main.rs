//! A node in a container of these tests: it answers a little JSON-RPC, and on demand crashes, hangs, eats memory, or says how it is held.
//!
//! No crate and no C: `rustc -C target-feature=+crt-static` makes the one file of an image `FROM scratch`.
//!
//! usage: stand_in serve PORT | crash CODE | eat MIB | report | chatter LINES | call ADDRESS METHOD [PARAM]

use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::exit,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let of = |index: usize| arguments.get(index).cloned().unwrap_or_default();
    let number = |index: usize| of(index).parse::<u64>().unwrap_or_else(|_| usage());
    match of(0).as_str() {
        "serve" => serve(number(1)),
        "crash" => exit(number(1) as i32),
        "eat" => eat(number(1)),
        "report" => report(),
        "chatter" => (0..number(1)).for_each(|line| println!("line {line} {}", "x".repeat(200))),
        "call" => call(&of(1), &of(2), &of(3)),
        _ => usage(),
    }
}

fn usage() -> ! {
    eprintln!("usage: stand_in serve PORT | crash CODE | eat MIB | report | chatter LINES | call ADDRESS METHOD [PARAM]");
    exit(2)
}

fn rest() -> ! {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

/// Keeps so much memory for ever.
fn eat(mib: u64) -> ! {
    let mut all = Vec::new();
    for index in 0..mib {
        all.push(vec![index as u8 | 1; 1 << 20]);
    }
    println!("ate {}", std::hint::black_box(&all).len());
    rest()
}

/// How it is held, seen from inside.
fn report() -> ! {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines() {
        let wanted = ["Uid:", "CapEff:", "CapBnd:", "NoNewPrivs:", "Seccomp:", "Cpus_allowed_list:"];
        if wanted.iter().any(|name| line.starts_with(name)) {
            println!("{}", line.replace('\t', " "));
        }
    }
    for path in ["/written", "/tmp/written", "/data/written", "/run/own/written"] {
        match fs::write(path, "x") {
            Ok(()) => println!("write {path}: ok"),
            // The number only: texts differ with the language.
            Err(error) => println!("write {path}: errno {}", error.raw_os_error().unwrap_or(0)),
        }
    }
    println!("env GREETING={}", env::var("GREETING").unwrap_or_default());
    println!("end of report");
    rest()
}

fn serve(port: u64) -> ! {
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).unwrap();
    println!("listening on {port}");
    for stream in listener.incoming().flatten() {
        thread::spawn(move || answer(stream));
    }
    rest()
}

fn answer(mut stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let text = body(&mut stream);
    let calls = calls(&text);
    let answers: Vec<String> = calls.iter().map(|call| answer_one(call)).collect();
    let body = if text.starts_with('[') { format!("[{}]", answers.join(",")) } else { answers.concat() };
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
}

/// The body of a request, as long as it says that it is.
fn body(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while request.len() < 1 << 20 {
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return body.trim().to_owned();
            }
        }
        match stream.read(&mut piece) {
            Ok(count @ 1..) => request.extend_from_slice(&piece[..count]),
            _ => break,
        }
    }
    String::new()
}

/// The calls of a batch, or the one call: each object that is in no other.
fn calls(text: &str) -> Vec<&str> {
    let (mut found, mut depth, mut began, mut in_text, mut escaped) = (Vec::new(), 0_u32, 0, false, false);
    for (place, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            '{' if !in_text => {
                if depth == 0 {
                    began = place;
                }
                depth += 1;
            }
            '}' if !in_text => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    found.push(&text[began..=place]);
                }
            }
            _ => {}
        }
    }
    found
}

/// What is after a key, up to the end of its value: numbers and names alone.
fn value<'a>(call: &'a str, key: &str) -> &'a str {
    let after = call.split_once(&format!("\"{key}\"")).map_or("", |(_, after)| after);
    let after = after.trim_start().trim_start_matches(':').trim_start();
    after.split([',', '}']).next().unwrap_or_default().trim()
}

fn answer_one(call: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let head = now / 12;
    let params = call.split_once("\"params\"").map_or("", |(_, params)| params);
    let result = match value(call, "method").trim_matches('"') {
        "eth_chainId" => "\"0x539\"".to_owned(),
        "eth_blockNumber" => format!("\"{head:#x}\""),
        "eth_getBlockByNumber" => {
            let asked = params.split('"').nth(1).unwrap_or_default();
            let asked = asked.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok());
            let number = asked.unwrap_or(if params.contains("finalized") { head - 64 } else { head });
            let (parent, time) = (number.saturating_sub(1), number * 12);
            if number > head {
                "null".to_owned()
            } else {
                format!(
                    "{{\"number\":\"{number:#x}\",\"hash\":\"0x{number:064x}\",\"parentHash\":\"0x{parent:064x}\",\"timestamp\":\"{time:#x}\"}}"
                )
            }
        }
        "eth_syncing" => "false".to_owned(),
        "eth_getBalance" => "\"0x7\"".to_owned(),
        "net_peerCount" => "\"0x5\"".to_owned(),
        "web3_clientVersion" => "\"Geth/v1.16.7-stand-in\"".to_owned(),
        "standin_crash" => exit(3),
        "standin_eat" => {
            let digits: String = params.chars().filter(char::is_ascii_digit).collect();
            let mib = digits.parse().unwrap_or(1);
            thread::spawn(move || eat(mib));
            "true".to_owned()
        }
        _ => {
            let id = value(call, "id");
            return format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":-32601,\"message\":\"the method does not exist\"}}}}");
        }
    };
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}", value(call, "id"))
}

/// Asks another one, and says what it said. Exit code 1 where it cannot be reached.
fn call(address: &str, method: &str, param: &str) {
    let to = address.parse().unwrap_or_else(|_| usage());
    let Ok(mut stream) = TcpStream::connect_timeout(&to, Duration::from_secs(3)) else {
        println!("unreachable");
        exit(1);
    };
    let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":[{param}]}}");
    let head = format!("POST / HTTP/1.1\r\nhost: node\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    println!("{}", said.rsplit("\r\n\r\n").next().unwrap_or_default());
}
