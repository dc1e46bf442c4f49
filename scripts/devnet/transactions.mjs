// Prints signed transactions of the devnet's one account, one a line: without transactions a block pays nobody and no bid for it
// is taken. Each creates a contract whose code is the INVALID opcode, which burns all of its gas, so that exactly one fits into a
// block and a supply handed over at the start lasts. usage: node transactions.mjs COUNT
// The key is the well-known first key of test chains.
import {createFeeMarket1559Tx} from "@ethereumjs/tx";
import {Common, Hardfork, Mainnet} from "@ethereumjs/common";

const hex = (bytes) => "0x" + Buffer.from(bytes).toString("hex");
const key = Uint8Array.from(Buffer.from("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80", "hex"));
const common = new Common({chain: {...Mainnet, chainId: 32382}, hardfork: Hardfork.Shanghai});
for (let nonce = 0; nonce < Number(process.argv[2]); nonce++) {
  const burner = {chainId: 32382n, nonce, gasLimit: 20000000n, maxFeePerGas: 2000000000n, maxPriorityFeePerGas: 1000000000n, data: "0xfe"};
  console.log(hex(createFeeMarket1559Tx(burner, {common}).sign(key).serialize()));
}
