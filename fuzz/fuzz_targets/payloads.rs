#![no_main]

relaymux_fuzz::fuzz!(relaymux_fuzz::Target::Payloads);
