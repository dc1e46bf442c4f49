//! What this room finds wrong, in words for whoever is woken by it.

use crate::events::alert_rules;

/// How long an occurrence stays open by itself: a day, in seconds.
const DAY: u64 = 24 * 3600;

alert_rules! {
    /// A block paid less than its bid promised, and that is proven.
    PAYMENT_MISSING {
        name: "payment_missing",
        severity: P2,
        component: Money,
        Occurrence { fail_for: 0, clear_for: DAY },
        title: "A relay paid less than it promised",
        cost: "The difference between what was promised and what arrived. The block itself is on chain.",
        done: "It is held against the relay, with the proof: see `relaymux report evidence SLOT`.",
        runbook: "Nothing tonight. In the morning send the evidence to the relay's operator, and ask for the difference.",
        page: "/profit",
    }
    /// A block seems to have paid less, and that is not proven.
    PAYMENT_UNCLEAR {
        name: "payment_unclear",
        severity: P3,
        component: Money,
        Occurrence { fail_for: 0, clear_for: DAY },
        title: "A payment could not be proven",
        cost: "Perhaps nothing: the node cannot show how the block paid.",
        done: "Nobody is blamed. It is looked at again when the slot is final.",
        runbook: "Use an execution node that traces (`debug_traceTransaction` or `trace_transaction`), or look at the block in an explorer.",
        page: "/profit",
    }
    /// A signed block was taken by a relay and never came on chain.
    NOT_DELIVERED {
        name: "not_delivered",
        severity: P2,
        component: Relays,
        Occurrence { fail_for: 0, clear_for: DAY },
        title: "A signed block never came on chain",
        cost: "The slot's whole reward.",
        done: "It is held against the relays that had taken the block, now that the slot is final.",
        runbook: "Open the slot's page: it says which relay took the block, when, and what it answered. Keep `relaymux report evidence SLOT`. Late in the slot? Look at your client's timing.",
        page: "/profit",
    }
    /// A locally built block pays another address than the validator registered.
    LOCAL_BLOCK_PAYS_ANOTHER {
        name: "local_block_pays_another",
        severity: P2,
        component: Consensus,
        Occurrence { fail_for: 0, clear_for: DAY },
        title: "A local block paid another address",
        cost: "The priority fees of that block went to an address that the validator's registration does not name.",
        done: "Nothing: only the consensus client's settings can change it.",
        runbook: "Compare suggested-fee-recipient of the consensus client and the validator client, and correct it before the next proposal.",
        page: "/profit",
    }
    /// A relay's public record is not what happened.
    DATA_API_DIFFERS {
        name: "data_api_differs",
        severity: P3,
        component: Relays,
        Occurrence { fail_for: 0, clear_for: DAY },
        title: "A relay's public record is not what happened",
        cost: "Nothing by itself: what arrived on chain counts.",
        done: "It is written down beside what the chain says.",
        runbook: "Nothing now. Tell the relay's operator, with both figures.",
        page: "/profit",
    }
    /// Slots pay less than the operator's target.
    RATE_UNDER_TARGET {
        name: "rate_under_target",
        severity: P4,
        component: Money,
        Condition { fail_for: 0, clear_for: 0 },
        title: "Profit is under your target",
        cost: "What is missing to [profit] target_eth_per_day.",
        done: "Nothing: how often you propose is chance.",
        runbook: "Look at /profit by relay and by validator, and at missed value: `relaymux report profit --by relay`.",
        page: "/profit",
    }
    /// A relay has a validator registered otherwise than we do.
    REGISTRATION_DRIFT {
        name: "registration_drift",
        severity: P3,
        component: Consensus,
        Condition { fail_for: 0, clear_for: 0 },
        title: "A relay has another registration than we do",
        cost: "A block by that relay may pay another address, or be refused by it.",
        done: "Each new registration of your client goes to every relay.",
        runbook: "Most likely a second client registers the same validator: find it. Else wait for the next registration, an epoch at most.",
        page: "/profit",
    }
    /// Slots are not looked at in time.
    SETTLEMENT_BEHIND {
        name: "settlement_behind",
        severity: P3,
        component: Execution,
        Condition { fail_for: 0, clear_for: 0 },
        title: "Payments are checked late",
        cost: "A relay that pays too little is found later than it could be.",
        done: "The slots wait and are looked at when the node answers.",
        runbook: "Look at the execution node: is it syncing, down or overloaded?",
        page: "/profit",
    }
    /// Slots can never be proven with this node.
    SLOTS_UNKNOWABLE {
        name: "slots_unknowable",
        severity: P3,
        component: Execution,
        Condition { fail_for: 0, clear_for: 0 },
        title: "Payments of some slots can never be proven",
        cost: "Whether these blocks paid what was promised stays unknown.",
        done: "They are marked, and count for and against nobody.",
        runbook: "Keep the execution node online: it forgets how old blocks paid. An archive node would still know.",
        page: "/profit",
    }
}
