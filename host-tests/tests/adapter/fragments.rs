//! Cuts packets into fragments as a router (IPv4) or a source (IPv6) would.

/// Frames with at most `payload` octets behind the IP header each, in order.
pub fn cut(link: usize, frame: &[u8], payload: usize) -> Vec<Vec<u8>> {
    assert_eq!(payload % 8, 0);
    let (header, packet) = frame.split_at(link);
    let is_v4 = packet[0] >> 4 == 4;
    if !matches!(packet[0] >> 4, 4 | 6) || (link == 14 && header[12..] == [8, 6]) {
        return vec![frame.to_vec()];
    }
    let (ip, data) = packet.split_at(if is_v4 { 20 } else { 40 });
    if data.len() <= payload {
        return vec![frame.to_vec()];
    }
    let pieces = data.chunks(payload).enumerate();
    let cut = |(n, piece): (usize, &[u8])| {
        let last = (n + 1) * payload >= data.len();
        let packet =
            if is_v4 { v4(ip, piece, n * payload, !last) } else { v6(ip, piece, n * payload, !last) };
        [header, &packet].concat()
    };
    pieces.map(cut).collect()
}

/// An IPv4 fragment with the header of the whole.
pub fn v4(ip: &[u8], data: &[u8], offset: usize, more: bool) -> Vec<u8> {
    let mut ip = ip.to_vec();
    ip[2..4].copy_from_slice(&((20 + data.len()) as u16).to_be_bytes());
    ip[6..8].copy_from_slice(&((offset / 8) as u16 | if more { 0x2000 } else { 0 }).to_be_bytes());
    ip[10..12].fill(0);
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !((sum & 0xFFFF) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    [&ip, data].concat()
}

/// An IPv6 fragment with the header of the whole.
pub fn v6(ip: &[u8], data: &[u8], offset: usize, more: bool) -> Vec<u8> {
    let mut ip = ip.to_vec();
    ip[4..6].copy_from_slice(&((8 + data.len()) as u16).to_be_bytes());
    let next = std::mem::replace(&mut ip[6], 44);
    let flags = (offset as u16 | u16::from(more)).to_be_bytes();
    [&ip[..], &[next, 0], &flags, &[0, 0, 0, 7], data].concat()
}
