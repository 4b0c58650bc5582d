//! Answers every frame with itself, on monoio's io_uring driver: one thread, a
//! task per connection, one write per batch of frames.

use std::io::{Read, Write};

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};

const FRAME_MAX: usize = 100 << 20;
const READ_BYTES: usize = 64 << 10;

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
    let mut have: Vec<u8> = Vec::new();
    let mut piece: Vec<u8> = Vec::with_capacity(READ_BYTES);
    loop {
        piece.clear();
        let (got, read) = conn.read(piece).await;
        piece = read;
        if got? == 0 {
            return Ok(());
        }
        // A batch of whole frames leaves from where it was read.
        if have.is_empty() {
            match whole(&piece) {
                None => return Ok(()),
                Some((n, lacks)) if n == piece.len() && lacks == 0 => {
                    let (sent, back) = conn.write_all(piece).await;
                    sent?;
                    piece = back;
                    continue;
                }
                Some((_, lacks)) => have.reserve(piece.len() + lacks),
            }
        }
        have.extend_from_slice(&piece);
        let (n, lacks) = match whole(&have) {
            None => return Ok(()),
            Some(x) => x,
        };
        if n > 0 {
            let rest = have.split_off(n);
            let (sent, back) = conn.write_all(have).await;
            sent?;
            have = back;
            have.clear();
            have.extend_from_slice(&rest);
        }
        have.reserve(lacks);
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
