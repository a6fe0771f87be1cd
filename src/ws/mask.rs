//! Masking (RFC 6455 section 5.3).

/// Masks or unmasks `bytes`, the first of which is byte `offset` of its payload.
///
/// "Octet i of the transformed data is the XOR of octet i of the original data with octet at index i modulo 4 of
/// the masking key" (section 5.3); the same again undoes it.
pub fn apply(key: [u8; 4], offset: u64, bytes: &mut [u8]) {
    let mut key = key;
    key.rotate_left((offset % 4) as usize);
    for chunk in bytes.chunks_mut(key.len()) {
        for (byte, key) in chunk.iter_mut().zip(key) {
            *byte ^= key;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::apply;

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
}
