"""What can go wrong at a department, as stable codes with a status and a sentence in both languages.

Rules kept here: a code never carries a value, a local field name or a message of the foreign system; an unforeseen exception of a
library becomes `provider_unavailable` and its text goes nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.errors import BadRequest, Denied, GatewayError, GatewayFault, ProviderFault


@dataclass(frozen=True, slots=True)
class Said:
    """How one code is told: HTTP status, zh and en sentence."""

    status: int
    zh: str
    en: str


CODES: Mapping[str, Said] = MappingProxyType(
    {
        "provider_timeout": Said(504, "提供方系统未在时限内答复", "the provider's system did not answer in time"),
        "provider_unavailable": Said(502, "提供方系统暂不可用", "the provider's system is not available"),
        "provider_refused": Said(502, "提供方系统拒绝了前置机的请求", "the provider's system refused the edge"),
        "provider_garbage": Said(502, "提供方系统的答复无法识别", "the provider's system answered something unreadable"),
        "provider_too_much": Said(502, "提供方系统的答复超出允许的大小", "the provider's system answered too much"),
        "provider_code_unknown": Said(502, "提供方记录中有未映射的代码", "a record of the provider holds an unmapped code"),
        "provider_busy": Said(503, "提供方前置机繁忙，请稍后重试", "the provider's edge is busy"),
        "provider_circuit_open": Said(503, "提供方系统连续失败，暂停调用", "the provider's system failed repeatedly and is left alone"),
        "age_band_contradicted": Said(409, "提供方登记的年龄与所申明的年龄段不符", "the provider's register contradicts the age band"),
        "order_unsigned": Said(401, "取数单的签名无效", "the order's signature does not hold"),
        "order_stale": Said(403, "取数单已过期或时限过长", "the order has expired or claims too long a life"),
        "order_replayed": Said(409, "取数单已使用过", "the order was handed in before"),
        "order_misdirected": Said(421, "取数单不是给本前置机的", "the order is not for this edge"),
        "order_unserved": Said(403, "本前置机不提供该共享事项或字段", "this edge does not serve the exchange or a field of it"),
        "order_too_large": Said(413, "取数单过大", "the order is too large"),
        "wire_invalid": Said(400, "取数单格式有误", "the order is malformed"),
        "mapping_invalid": Said(500, "映射文件有误，拒绝启动", "the mapping file is wrong; the edge refuses to start"),
        "edge_settings": Said(500, "前置机配置有误，拒绝启动", "the edge's settings are wrong; it refuses to start"),
        "certificate_invalid": Said(500, "证书、私钥与签发机构不相符或无法读取", "certificate, key and authority do not fit together"),
        "exchange_file_invalid": Said(500, "共享事项定义文件有误", "the file of exchange definitions is wrong"),
        "directory_invalid": Said(500, "对照表不属于本部门或已损坏", "the directory is another department's or is damaged"),
        "enrolment_suspicious": Said(403, "登记的号码呈连续或重复，疑似穷举，已中止", "the numbers to enrol look counted through"),
        "local_unauthorised": Said(401, "本地系统未通过验证", "the local system is not authenticated"),
        "local_request_invalid": Said(400, "本地发送请求格式有误", "the local send request is malformed"),
        "local_record_unknown": Said(404, "本部门没有该记录", "this department has no such record"),
        "local_all_denied": Said(403, "每一行均被拒绝，未发送", "every line was denied; nothing was sent"),
        "local_key_reused": Said(409, "该键已用于另一内容", "the key was used for another content"),
        "spool_full": Said(503, "待发队列已满，请稍后重试", "the queue of what is to be sent is full"),
        "field_unmapped": Said(500, "收件方未映射该字段", "the recipient maps no such field"),
        "gateway_unreachable": Said(503, "网关暂不可达", "the gateway cannot be reached"),
        "edge_fault": Said(500, "前置机处理失败", "the edge failed"),
    }
)  # fmt: skip

RETRIABLE = frozenset({"provider_timeout", "provider_unavailable"})
"""Faults after which an idempotent read may be tried again."""


def status_of(error: GatewayError) -> int:
    """The HTTP status of an error at the edge; by family for codes of other rooms."""
    said = CODES.get(error.code)
    if said is not None:
        return said.status
    match error:
        case BadRequest():
            return 400
        case Denied():
            return 403
        case ProviderFault():
            return 502
        case _:
            return 500


def mapping_refusal(reason: str, **facts: str | int) -> GatewayFault:
    """`mapping_invalid` with what is wrong (`reason`, names of the catalogue or of the mapping file)."""
    return GatewayFault("mapping_invalid", reason=reason, **facts)
