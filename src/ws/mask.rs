//! Masking (RFC 6455 section 5.3).

/// Bytes masked at once: what the compiler makes a few vector instructions of.
const WIDTH: usize = 32;

/// Masks or unmasks `bytes`, the first of which is byte `offset` of its payload.
///
/// "Octet i of the transformed data is the XOR of octet i of the original data with octet at index i modulo 4 of
/// the masking key" (section 5.3); the same again undoes it.
pub fn apply(key: [u8; 4], offset: u64, bytes: &mut [u8]) {
    let mut key = key;
    key.rotate_left((offset % 4) as usize);
    let wide = widen(key);
    let (blocks, rest) = bytes.as_chunks_mut();
    for block in blocks {
        *block = xor(block, &wide);
    }
    for (byte, key) in rest.iter_mut().zip(wide) {
        *byte ^= key;
    }
}

/// The same into `to`, which is as long as `from`. `key` is as it applies to the first byte.
pub fn copy(key: [u8; 4], from: &[u8], to: &mut [u8]) {
    let wide = widen(key);
    let (blocks, rest) = from.as_chunks();
    let (to_blocks, to_rest) = to.as_chunks_mut();
    for (from, to) in blocks.iter().zip(to_blocks) {
        *to = xor(from, &wide);
    }
    for ((from, to), key) in rest.iter().zip(to_rest).zip(wide) {
        *to = from ^ key;
    }
}

/// The key, again and again.
fn widen(key: [u8; 4]) -> [u8; WIDTH] {
    std::array::from_fn(|at| key[at % key.len()])
}

fn xor(bytes: &[u8; WIDTH], key: &[u8; WIDTH]) -> [u8; WIDTH] {
    std::array::from_fn(|at| bytes[at] ^ key[at])
}

#[cfg(test)]
mod tests {
    use super::{WIDTH, apply, copy};

    /// RFC 6455 section 5.7, "A single-frame masked text message".
    #[test]
    fn unmasks_the_example_of_the_rfc() {
        let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        apply([0x37, 0xfa, 0x21, 0x3d], 0, &mut payload);
        assert_eq!(&payload, b"Hello");
    }

    #[test]
    fn goes_on_at_any_offset() {
        let key = [1, 2, 3, 4];
        let mut whole = *b"0123456789";
        apply(key, 0, &mut whole);
        for cut in 0..whole.len() {
            let mut parts = *b"0123456789";
            let (head, tail) = parts.split_at_mut(cut);
            apply(key, 0, head);
            apply(key, cut as u64, tail);
            assert_eq!(parts, whole, "cut at {cut}");
        }
    }

    /// Octet by octet, as the RFC says it; lengths around whole blocks.
    #[test]
    fn masks_and_copies_as_the_rfc_defines() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let clear: Vec<u8> = (0..=u8::MAX).take(3 * WIDTH + 5).collect();
        for len in 0..=clear.len() {
            let clear = &clear[..len];
            let masked: Vec<u8> = clear.iter().enumerate().map(|(i, octet)| octet ^ key[i % 4]).collect();
            let mut applied = clear.to_vec();
            apply(key, 0, &mut applied);
            assert_eq!(applied, masked, "{len} bytes");
            let mut copied = vec![0; len];
            copy(key, clear, &mut copied);
            assert_eq!(copied, masked, "{len} bytes");
        }
    }
}
