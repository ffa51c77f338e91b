//! Error bodies, sizes and names: what was promised against what came.

use swath_raster::synth::{CogSpec, cog};
use swath_raster::{Code, Expected, Kind, Level, Outcome};

use crate::support::{Form, Image, check, check_as, say, write};

const TIFF: Expected<'_> = Expected {
    size_bytes: None,
    media_type: Some("image/tiff; application=geotiff; profile=cloud-optimized"),
    name: Some("B04.tif"),
};

/// T1.
#[test]
fn error_bodies_are_known_by_what_they_say() {
    let slow = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    let busy = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>ServerBusy</Code><Message>Ingress is over the limit.</Message></Error>";
    let login = "<!DOCTYPE html><html><head><title>Earthdata Login</title></head><body><form action=\"https://urs.earthdata.nasa.gov/login\"></form></body></html>";
    let denied = "<Error><Code>AccessDenied</Code></Error>";
    let azure = "<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>Signature not valid in the specified time frame</Message></Error>";
    let missing = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code></Error>";
    let cases = [
        (slow, Code::ErrorBodyXmlThrottle, true, false),
        (busy, Code::ErrorBodyXmlThrottle, true, false),
        (
            "<Error><Code>InternalError</Code></Error>",
            Code::ErrorBodyXmlThrottle,
            true,
            false,
        ),
        (denied, Code::ErrorBodyXmlDenied, false, true),
        (azure, Code::ErrorBodyXmlDenied, false, true),
        (missing, Code::ErrorBodyXmlMissing, false, false),
        (
            "<Metadata><a/></Metadata>",
            Code::ErrorBodyXml,
            false,
            false,
        ),
        (login, Code::ErrorBodyLogin, false, true),
        (
            "<html><head><title>Request Rejected</title></head></html>",
            Code::ErrorBodyHtml,
            true,
            false,
        ),
        (
            "\r\n <!-- proxy --> <!DOCTYPE HTML>\n<html>",
            Code::ErrorBodyHtml,
            true,
            false,
        ),
        (
            "{\"message\": \"Too Many Requests\"}",
            Code::ErrorBodyJsonThrottle,
            true,
            false,
        ),
        (
            "{\"message\": \"Unauthorized\"}",
            Code::ErrorBodyJsonDenied,
            false,
            true,
        ),
        (
            "{\"code\": \"NotFoundError\"}",
            Code::ErrorBodyJson,
            false,
            false,
        ),
    ];
    for (body, code, retryable, denied) in cases {
        for level in [Level::Size, Level::Structure, Level::Window, Level::Full] {
            let verdict = check_as(body.as_bytes(), &TIFF, level);
            assert_eq!(
                (verdict.code, verdict.outcome),
                (code, Outcome::Bad),
                "{body}: {verdict}"
            );
            assert_eq!(
                (verdict.retryable, verdict.code.is_denied()),
                (retryable, denied),
                "{body}"
            );
        }
    }
    say(
        "T1",
        "13 error bodies at 4 levels",
        "each by its code",
        "each by its code",
    );
}

#[test]
fn an_error_body_is_known_even_where_its_size_was_promised() {
    let body = b"<Error><Code>SlowDown</Code></Error>";
    let expected = Expected {
        size_bytes: Some(body.len() as u64),
        ..TIFF
    };
    let verdict = check_as(body, &expected, Level::Size);
    assert_eq!(
        (verdict.code, verdict.retryable),
        (Code::ErrorBodyXmlThrottle, true)
    );
    let expected = Expected {
        size_bytes: Some(1),
        media_type: Some("application/xml"),
        name: None,
    };
    assert_eq!(
        check_as(body, &expected, Level::Full).code,
        Code::ErrorBodyXmlThrottle
    );
}

#[test]
fn documents_that_were_promised_are_not_errors() {
    let cases = [
        (
            "text/html",
            "<!DOCTYPE html><html><body>Quality report</body></html>",
            Kind::Html,
        ),
        (
            "application/xml",
            "<?xml version=\"1.0\"?><n1:Level-2A xmlns:n1=\"x\"><a>1</a></n1:Level-2A>\n",
            Kind::Xml,
        ),
        (
            "application/json",
            "{\"message\": \"Unauthorized\"}",
            Kind::Json,
        ),
        (
            "application/geo+json",
            "{\"type\": \"FeatureCollection\", \"features\": []}\n",
            Kind::Json,
        ),
    ];
    for (media_type, body, kind) in cases {
        let expected = Expected {
            media_type: Some(media_type),
            ..Expected::default()
        };
        let verdict = check_as(body.as_bytes(), &expected, Level::Full);
        assert_eq!(
            (verdict.outcome, verdict.kind),
            (Outcome::Good, kind),
            "{body}: {verdict}"
        );
    }
}

/// T15.
#[test]
fn a_raster_under_another_rasters_name_is_judged_by_its_content() {
    let file = write(Form::default(), &[Image::default()]);
    let named = Expected {
        media_type: Some("image/jp2"),
        name: Some("B04.jp2"),
        size_bytes: None,
    };
    let verdict = check_as(&file, &named, Level::Full);
    assert_eq!((verdict.outcome, verdict.kind), (Outcome::Good, Kind::Tiff));
    assert_eq!(
        verdict.warnings,
        ["jp2 was promised and the content is tiff"]
    );
    let jp2 = crate::formats::jp2();
    let verdict = check_as(&jp2, &TIFF, Level::Full);
    assert_eq!(
        (verdict.outcome, verdict.kind),
        (Outcome::Good, Kind::Jp2),
        "{verdict}"
    );
    assert_eq!(
        verdict.warnings,
        ["tiff was promised and the content is jp2"]
    );
    say(
        "T15",
        "TIFF as .jp2, JP2 as .tif",
        "good by content, 1 warning",
        "good by content, 1 warning",
    );
}

#[test]
fn what_is_no_raster_is_bad_where_one_was_promised() {
    let cases: [(&[u8], Code); 4] = [
        (
            b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            Code::MediaMismatch,
        ),
        (
            b"upstream connect error or disconnect/reset before headers",
            Code::NotRaster,
        ),
        (&[0; 4096], Code::NotRaster),
        (b"short", Code::Truncated),
    ];
    for (body, code) in cases {
        assert_eq!(check_as(body, &TIFF, Level::Structure).code, code);
    }
    let verdict = check(&[7; 100], Level::Full);
    assert_eq!(
        (verdict.outcome, verdict.code),
        (Outcome::Unverified, Code::UnknownKind)
    );
}

#[test]
fn the_promised_size_counts() {
    let file = cog(&CogSpec {
        width: 64,
        height: 64,
        tile: 64,
        ..CogSpec::default()
    });
    let size = file.len() as u64;
    let promise = |size| Expected {
        size_bytes: Some(size),
        ..Expected::default()
    };
    for level in [Level::Size, Level::Structure, Level::Window, Level::Full] {
        assert_eq!(check_as(&file, &promise(size), level).code, Code::Ok);
        for wrong in [size - 1, size + 1] {
            let verdict = check_as(&file, &promise(wrong), level);
            assert_eq!(
                (verdict.code, verdict.retryable),
                (Code::SizeMismatch, true),
                "{level}"
            );
            assert_eq!(
                verdict.reason,
                format!("the file holds {size} bytes where {wrong} were promised")
            );
        }
    }
    assert_eq!(check(&file, Level::Size).code, Code::SizeUnknown);
    assert_eq!(
        check_as(&file, &promise(1), Level::None).code,
        Code::NotChecked
    );
}

#[test]
fn a_cut_that_the_origin_has_is_not_fetched_again() {
    let file = cog(&CogSpec::default());
    let cut = &file[..file.len() / 2];
    assert!(check(cut, Level::Structure).retryable);
    let promised = Expected {
        size_bytes: Some(cut.len() as u64),
        ..TIFF
    };
    let verdict = check_as(cut, &promised, Level::Structure);
    assert_eq!((verdict.code, verdict.retryable), (Code::Truncated, false));
}

#[test]
fn an_empty_file_is_bad_at_every_level() {
    for level in Level::ALL {
        for expected in [
            TIFF,
            Expected::default(),
            Expected {
                size_bytes: Some(0),
                ..Expected::default()
            },
        ] {
            assert_eq!(check_as(b"", &expected, level).code, Code::Empty);
        }
    }
}

#[test]
fn names_of_levels_and_codes_are_stable() {
    for level in Level::ALL {
        assert_eq!(level.to_string().parse::<Level>().unwrap(), level);
        assert_eq!(serde_json::to_value(level).unwrap(), level.as_str());
    }
    assert_eq!(" Window ".parse::<Level>().unwrap(), Level::default());
    assert!(
        "deep"
            .parse::<Level>()
            .unwrap_err()
            .to_string()
            .contains("\"deep\"")
    );
    for code in Code::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        assert_eq!(
            serde_json::from_value::<Code>(code.as_str().into()).unwrap(),
            *code
        );
        assert!(!code.is_retryable() || code.outcome() == Outcome::Bad);
    }
    let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Code::ALL.len());
}

#[test]
fn a_verdict_survives_json() {
    let verdict = check(
        &cog(&CogSpec {
            width: 64,
            height: 64,
            ..CogSpec::default()
        }),
        Level::Full,
    );
    let text = serde_json::to_string(&verdict).unwrap();
    assert!(
        text.contains("\"outcome\":\"good\"") && text.contains("\"kind\":\"tiff\""),
        "{text}"
    );
    assert_eq!(
        serde_json::from_str::<swath_raster::Verdict>(&text).unwrap(),
        verdict
    );
}
