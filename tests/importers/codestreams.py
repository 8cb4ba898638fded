"""Codestreams of JPEG 2000 with options that Pillow does not write, of OpenJPEG 2.5.4, without their comments."""

from __future__ import annotations

import base64

TEXTS = {
    "bits as they are": (
        "/0//UQApAAAAAAAOAAAADAAAAAAAAAAAAAAADgAAAAwAAAAAAAAAAAABBwEB/1IADAAAAAEAAQQEAQH/XAAHQEBISFD/kAAKAAAAAAC9AAH/"
        "k8+0yyZMgBFQHn4CfevyoHRMBpau5RHzppv1EWt0/38xBKWiFtX/fz/VdjZHlf9/n6CvnexV/3/H2iEkF1H2imLp1B9RJ0yAGn8ACfoDziNj"
        "JgAAAr9Jh5WknOwqiZqqf6vUJ0MqNSr/fx28tTynpridZgvCBxGAo5kvRS7Rqirgcv9/t91erdQxav9/GUw2d5ZF56VBeZuMRMwOJwphuPcR"
        "xy+Ihf9/cHfCyTMl/3//2Q=="
    ),
    "bits as they are, each pass apart": (
        "/0//UQApAAAAAAAOAAAADAAAAAAAAAAAAAAADgAAAAwAAAAAAAAAAAABBwEB/1IADAAAAAEAAQQEBQH/XAAHQEBISFD/kAAKAAAAAAD3AAH/"
        "k8+11UalkMhkMhFQHn4Cfevhv8b0TAaf/39/tztEfOn/f/9/AMqItbp//38xBKWiFtX/fz/VdjZHlf9/n6CvnexV/3/H2oiiUSoZkXFH2kik"
        "kjajWnFB9UYiRikiKIRKQBp+/39Mf3//f2/b/38ZA/9/YyYAKgABXySTlaSc7CqVJmp/q9QVnQyo1P9/Hbz/f3//f/9//3//fxinBwrhka0/"
        "wgcRgKU5lS9FLtGqJa4HKv9/t91K9W6hi/9/GUwvz7//fyrRfx8mgIx/AZOoirBg+MJXbQO49xHKOXxEKv9/cCrvhZJmSv9//9k="
    ),
    "contexts set back, stripes apart, marks at the end of planes": (
        "/0//UQApAAAAAAAOAAAADAAAAAAAAAAAAAAADgAAAAwAAAAAAAAAAAABBwEB/1IADAAAAAEAAQQEKgH/XAAHQEBISFD/kAAKAAAAAACxAAH/"
        "k8+0uBFQHn4Cfev88ihl2A022H4ojvjxyZW9M4G8uvPD6CoAxp2tFJnLkIST2sFQRYfH2kUfaRwfUSAafwAP7OoFz1INvMiuOMQ0xjnLzgDY"
        "7ZghNq0Ed5YlAiw/HbyWegPutSLCRU0//WGfYAXLl/rCQHVsrgCdk8yJO4P8QF8ZTDYUWGw/fr2AQLWh80w8w3dd6hbf/jdUsOkiFfFyqdIp"
        "8X//2Q=="
    ),
    "markers around packets' headers": (
        "/0//UQApAAAAAAAOAAAADAAAAAAAAAAAAAAADgAAAAwAAAAAAAAAAAABBwEB/1IADAYAAAIAAQQEAAH/XAAHQEBISFD/kAAKAAAAAADEAAH/"
        "k/+RAAQAAMyQ/5IRUB5+An3r8qD/kQAEAAGA/5L/kQAEAAL9ZAD/knRMBpau5RHzppv1EWt0/hu5UKgEPLcymcuWDsNYqCK//5EABAADx9o/"
        "H2kEH1D4/5IafwAJ+gPOIppIfqgYGFJ9NEM7FCK+R3mqisbJBoHTHby1PKemuJ1mCKMn2ht1Dca3kTF8WiF56DuMOW+TCR8ZTDZ3lkXnpUF5"
        "m4xEzA4nCmEM7lSVjgx9OopgTadf/9k="
    ),
    "all of it, with floats": (
        "/0//UQApAAAAAAAOAAAADAAAAAAAAAAAAAAADgAAAAwAAAAAAAAAAAABBwEB/1IADAAAAAEAAQQEPwD/XAALQkgkV9NX01di/5AACgAAAAAA"
        "6AAB/5PPwdsnE4jEYjEYgBFQFmR6SsHyWGjG+xm2v7oJ5pv+9rasOdAF7a8Mtno7nWi81bbNQZn6bNW2kV/fdLAVtommkz2I1bbD7URLJZLS"
        "jKph9pklEk2lVlUwfUZKRXKrLhAafwAKqyI5cafb3MhsIVjhaWZbDDHRyJK4ueR26IZBinCQJXaBuUoqth28jJM07HEpxpOmJxajcjZCJHcc"
        "aAACJyG3a41BSt2wxbYESnalimMqthldJZcAE3h0XABzShzIoxMyz0lcBlzVRqwCshAYKrbOFkqGIWSKtv/Z"
    ),
    "a region of interest": (
        "/0//UQApAAAAAAAOAAAADAAAAAAAAAAAAAAADgAAAAwAAAAAAAAAAAABBwEB/1IADAAAAAEAAQQEAAH/XAAHQEBISFD/XgAFAAAH/5AACgAA"
        "AAAAoQAB/5PPtKQRUB5+An3r8qB0TAaWruUR86ab9RFrdP4buVCoBDy3MpnLlg7DWKgiv8faPx9pBB9Q+Bp/AAn6A84imkh+qBgYUn00QzsU"
        "Ir5HeaqKxskGgdMdvLU8p6a4nWYIoyfaG3UNxreRMXxaIXnoO4w5b5MJHxlMNneWReelQXmbjETMDicKYQzuVJWODH06imBNp1//2Q=="
    ),
}
CODESTREAMS = {name: base64.b64decode(text) for name, text in TEXTS.items()}
