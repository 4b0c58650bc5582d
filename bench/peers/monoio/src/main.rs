//! Answers every frame with itself, on monoio's io_uring driver: one thread, a
//! task per connection with a buffer of its own, one write per batch of frames.

use std::io::{Read, Write};

use monoio::buf::{IoBuf, IoBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};

const FRAME_MAX: usize = 100 << 20;
/// BUFFER_BYTES is what a connection has room for: a frame of 64 KiB and its size, and of
/// the next one what comes with it.
const BUFFER_BYTES: usize = 128 << 10;

/// whole gives the length of the complete frames at the front, and how much the
/// last one lacks; None when these are no frames.
fn whole(b: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    while b.len() - at >= 4 {
        let size = u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]) as usize;
        if size > FRAME_MAX {
            return None;
        }
        if b.len() - at < 4 + size {
            return Some((at, 4 + size - (b.len() - at)));
        }
        at += 4 + size;
    }
    Some((at, 0))
}

async fn serve(mut conn: TcpStream) -> std::io::Result<()> {
    conn.set_nodelay(true)?;
    let mut buf: Vec<u8> = Vec::with_capacity(BUFFER_BYTES);
    loop {
        // Size and body together, behind what is there of the last frame.
        let have = buf.len();
        let room = buf.capacity();
        let (got, read) = conn.read(buf.slice_mut(have..room)).await;
        buf = read.into_inner();
        if got? == 0 {
            return Ok(());
        }
        let (n, lacks) = match whole(&buf) {
            None => return Ok(()),
            Some(x) => x,
        };
        if n == 0 {
            buf.reserve(lacks);
            continue;
        }
        // Whole frames leave from where they were read.
        let (sent, back) = conn.write_all(buf.slice(..n)).await;
        sent?;
        buf = back.into_inner();
        let rest = buf.len() - n;
        buf.copy_within(n.., 0);
        buf.truncate(rest);
        buf.reserve(lacks.max(1));
    }
}

#[monoio::main(driver = "io_uring", entries = 4096)]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    println!("ready {}", listener.local_addr().expect("address"));
    std::io::stdout().flush().expect("stdout");
    std::thread::spawn(|| {
        let mut end = [0u8; 256];
        while matches!(std::io::stdin().read(&mut end), Ok(n) if n > 0) {}
        std::process::exit(0);
    });
    while let Ok((conn, _)) = listener.accept().await {
        monoio::spawn(async move {
            let _ = serve(conn).await;
        });
    }
}
