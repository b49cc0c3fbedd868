"""Take out what tells who somebody is."""

from __future__ import annotations

from dataclasses import dataclass

from mmdata.core.sample import Text
from mmdata.core.step import Drop, Map
from mmdata.kernels.text.private import USUAL, Kind, redacted


@dataclass(frozen=True, kw_only=True)
class RedactPrivate(Map[Text, Text]):
    """Replace addresses, numbers and credentials by placeholders: "<EMAIL>", "<PHONE>".

    What has a checksum counts only where it is right: cards (Luhn), IBANs (mod 97), the Spanish and French numbers.
    Names and postal addresses are not found: that takes a model. How many of each kind a text has or had,
    `features.text.PrivateCounts` tells.

    Args:
        kinds: what to look for: "credentials" (user and password in a URL), "email", "iban", "card", "ip", "phone", and
            the national numbers "us_ssn", "uk_nino", "es_dni", "fr_nir", "it_cf".
        by: the placeholder; "{kind}" stands for the kind in capitals.

    Reference:
        RFC 5321 and 3986, E.164, ISO/IEC 7812-1 (Luhn), ISO 13616 and 7064 (IBAN).
    """

    on: str = "text"
    kinds: tuple[Kind, ...] = USUAL
    by: str = "<{kind}>"

    def map(self, text: Text) -> Text | Drop:
        return text.changed(redacted(text.text, self.kinds, by=self.by)[0])
