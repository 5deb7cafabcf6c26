//! Scalars in TensorBoard's event files: protocol buffers in TFRecord frames.
//!
//! A frame is the length (u64), a masked CRC-32C of it, the message, and a masked CRC-32C of that, all little-endian. The
//! messages are `Event { wall_time = 1: double, step = 2: int64, file_version = 3: string, summary = 5: Summary }`,
//! `Summary { value = 1: repeated Value }` and `Value { tag = 1: string, simple_value = 2: float }`. `wall_time` stays
//! zero, since only `summary.json` may hold a clock; TensorBoard's axis is the step.

/// The frame that opens an event file.
pub(crate) fn file_version() -> Vec<u8> {
    let mut event = Vec::new();
    bytes_field(&mut event, 3, b"brain.Event:2");
    frame(&event)
}

/// The frame of one scalar. TensorBoard groups tags by what stands before the slash.
pub(crate) fn scalar(step: usize, tag: &str, value: f64) -> Vec<u8> {
    let mut entry = Vec::new();
    bytes_field(&mut entry, 1, tag.as_bytes());
    entry.push(2 << 3 | FIXED32);
    entry.extend((value as f32).to_le_bytes());

    let mut summary = Vec::new();
    bytes_field(&mut summary, 1, &entry);

    let mut event = vec![2 << 3 | VARINT];
    varint(&mut event, step as u64);
    bytes_field(&mut event, 5, &summary);
    frame(&event)
}

const VARINT: u8 = 0;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

fn bytes_field(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | BYTES);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn frame(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let mut out = length.to_vec();
    out.extend(masked_crc(&length));
    out.extend(message);
    out.extend(masked_crc(message));
    out
}

/// TFRecord rotates and shifts its checksums, because a checksum of data that holds checksums is weak.
fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any event file begins with these bytes, but for the wall time.
    #[test]
    fn the_file_version_is_a_framed_event() {
        let frame = file_version();
        assert_eq!(frame[..8], 15u64.to_le_bytes());
        assert_eq!(&frame[12..27], b"\x1a\x0dbrain.Event:2");
        assert_eq!(frame.len(), 8 + 4 + 15 + 4);
    }

    #[test]
    fn a_scalar_is_encoded_field_by_field() {
        let frame = scalar(300, "a/b", 1.5);
        let message = [
            0x10, 0xac, 0x02, // step = 300
            0x2a, 0x0c, // summary, 12 bytes
            0x0a, 0x0a, // value, 10 bytes
            0x0a, 0x03, b'a', b'/', b'b', // tag
            0x15, 0x00, 0x00, 0xc0, 0x3f, // simple_value = 1.5
        ];
        assert_eq!(frame[..8], (message.len() as u64).to_le_bytes());
        assert_eq!(frame[12..12 + message.len()], message);
    }

    /// What `RecordWriter` of TensorBoard 2.21 writes for the same two events, checksums of the length and of the message
    /// included. TensorBoard stops reading where a checksum is wrong.
    #[test]
    fn frames_are_those_of_tensorboards_own_writer() {
        let version = [
            0x0f, 0, 0, 0, 0, 0, 0, 0, 0x6d, 0x53, 0x2b, 0x09, // 15 bytes, and the checksum of that
            0x1a, 0x0d, b'b', b'r', b'a', b'i', b'n', b'.', b'E', b'v', b'e', b'n', b't', b':', b'2', //
            0xfc, 0x98, 0x51, 0x29,
        ];
        let scalar_of_step_300 = [
            0x11, 0, 0, 0, 0, 0, 0, 0, 0x9d, 0x6d, 0xb5, 0x2e, // 17 bytes, and the checksum of that
            0x10, 0xac, 0x02, 0x2a, 0x0c, 0x0a, 0x0a, 0x0a, 0x03, b'a', b'/', b'b', 0x15, 0x00, 0x00, 0xc0,
            0x3f, //
            0xb8, 0x58, 0x8f, 0xa4,
        ];
        assert_eq!(file_version(), version);
        assert_eq!(scalar(300, "a/b", 1.5), scalar_of_step_300);
    }

    /// The length field of an event of 24 bytes opens every file that PyTorch's writer makes: `18 00 … a3 7f 4b 22`.
    #[test]
    fn the_checksum_is_masked_as_tfrecord_does_it() {
        assert_eq!(masked_crc(&24u64.to_le_bytes()), [0xa3, 0x7f, 0x4b, 0x22]);
    }
}
