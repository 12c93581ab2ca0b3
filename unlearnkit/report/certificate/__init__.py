"""A certificate of an unlearning run: what was asked, done and measured, and what is not proven.

It says no more than the store holds. Whatever there is not stands in it as absent.
"""

from unlearnkit.report.certificate.document import Certificate, digest, issue
from unlearnkit.report.certificate.page import page
from unlearnkit.report.certificate.verify import Check, verify

__all__ = ["Certificate", "Check", "digest", "issue", "page", "verify"]
