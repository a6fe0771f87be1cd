//! What an opening costs besides TLS: the request's head, and the token.

use std::hint::black_box;

use ringside::http1::head::{HeadEnd, Request};
use ringside::http1::upgrade::Upgrade;
use ringside::jwt::algorithm::Algorithm;
use ringside::jwt::keys::Keys;
use ringside::jwt::verify::{Config, Verifier};
use ringside::time::UnixTime;

use super::Work;
use crate::Fault;

/// As a browser asks.
const REQUEST: &[u8] = b"GET /chat?room=7 HTTP/1.1\r\n\
    Host: chat.example\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) Browser/141.0\r\n\
    Upgrade: websocket\r\n\
    Origin: https://chat.example\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-US,en;q=0.9\r\n\
    Cookie: theme=dark; lang=en\r\n\
    Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
    Sec-WebSocket-Protocol: chat.v2, chat.v1\r\n\
    \r\n";

/// More than that has.
const MAX_FIELDS: usize = 100;

/// The claims of the examples of RFC 7515 appendix A, and a moment at which they are good.
const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const NOW: UnixTime = UnixTime::from_secs(1_300_819_379);

#[expect(clippy::unnecessary_wraps, reason = "a path is prepared like the others")]
pub(super) fn head() -> Result<Work, Fault> {
    Ok(Box::new(|| {
        let received = black_box(REQUEST);
        let Some(length) = HeadEnd::default().find(received) else { return false };
        let Ok(request) = Request::parse(&received[..length], MAX_FIELDS) else { return false };
        black_box(Upgrade::check(&request)).is_ok()
    }))
}

/// The example of RFC 7515 appendix A.2.
pub(super) fn token_rs256() -> Result<Work, Fault> {
    token(
        Algorithm::Rs256,
        r#"{"keys": [{"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}]}"#,
        "eyJhbGciOiJSUzI1NiJ9",
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    )
}

/// The example of RFC 7515 appendix A.3.
pub(super) fn token_es256() -> Result<Work, Fault> {
    token(
        Algorithm::Es256,
        r#"{"keys": [{"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#,
        "eyJhbGciOiJFUzI1NiJ9",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    )
}

fn token(algorithm: Algorithm, keys: &str, header: &str, signature: &str) -> Result<Work, Fault> {
    let verifier = Verifier::new(Keys::parse(keys.as_bytes(), &[algorithm])?.keys, Config::default());
    let token = format!("{header}.{CLAIMS}.{signature}");
    Ok(Box::new(move || black_box(verifier.verify(black_box(&token), NOW)).is_ok()))
}
