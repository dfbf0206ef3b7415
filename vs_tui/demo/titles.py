"""Titles of the teams' work; some have characters that are difficult for terminals and parsers."""

from __future__ import annotations

import re
from typing import Final

CORE_TITLES: Final = (
    "Validate the postal code before the order is placed",
    "Fix rounding of partial refunds",
    "Send invoices as PDF/A",
    "Retry payment webhooks with backoff",
    "[spike] Measure the cost of idempotency keys",
    "Reject expired vouchers",
    "Show 税込 prices in receipts",
    "Fix the time zone of settlement reports",
    "Drop the legacy tax table",
    "Cache exchange rates for an hour",
    "Split the order service's migrations",
    "Log the reason of a declined card",
    "Fix a deadlock when two carts merge",
    "Charge subscriptions in batches",
    "Add an index for open invoices",
    "Make the currency a type 💶",
    "Read limits from the config",
    "Fix duplicate confirmation mails",
    "Expose stock levels to the shop",
    "Store consent with every payment",
    "Let support cancel an order",
    "Upgrade the database driver",
    "Fix totals of orders with 0 items",
    "Number credit notes without gaps",
    "Measure the queue's age",
    "Accept Apple Pay",
    "Archive orders after ten years",
    "Fix the currency of gift cards",
    "Rate-limit the address search",
    "Prepare the 请求 tracing headers",
)
WEB_TITLES: Final = (
    "Product page shows delivery times",
    "Cart keeps its items after login",
    "🐛 Search box loses focus on iOS",
    "Images are served as AVIF",
    "Checkout works without a mouse",
    "[a11y] Contrast of the sale badges",
    "Filter by size and colour",
    "Prices jump while loading",
    "Wishlist can be shared",
    "日本語 product names wrap badly",
    "Order history loads page by page",
    "Newsletter sign-up needs consent",
    "Faster first paint of the home page",
    "Voucher field is hard to find",
    "Remember the chosen store",
    "Reviews with photos",
    "Dark mode for the account pages",
    "Breadcrumbs on category pages",
    "Empty cart suggests products",
    "Footer links to the new returns page",
    "Sort by popularity",
    "Stock badge is out of date",
    "Print style sheet for invoices",
    "Size guide opens twice",
    "Track parcels in the account",
    "Cookie banner covers the buy button",
)
PLAT_TITLES: Final = (
    "Raise the memory of the queue workers",
    "Rotate the registry's certificates",
    "Autoscale checkout-api on latency",
    "Move the backups to the second region",
    "Upgrade the ingress controller",
    "Alert on full disks a day before",
    "Pin the base images by digest",
    "One node pool for batch jobs",
    "Terraform state per environment",
    "Trim log retention to 30 days",
    "Spot instances for CI agents",
    "Network policies for billing",
)


def slug(title: str) -> str:
    """The first words of a title, for a branch's name."""
    words = re.findall(r"[a-z]+", title.lower())
    return "-".join(words[:4]) or "change"
