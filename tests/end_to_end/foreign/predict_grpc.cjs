// grpc-js, with the contract read from its file: node predict_grpc.cjs ADDRESS PROTO_FILE REQUEST_FILE
const { readFileSync } = require("node:fs");
const grpc = require("@grpc/grpc-js");
const { loadSync } = require("@grpc/proto-loader");

const [address, proto, file] = process.argv.slice(2);
const { DrugPrediction } = grpc.loadPackageDefinition(loadSync(proto, { keepCase: true, enums: String })).drugpred.v1;
const client = new DrugPrediction(address, grpc.credentials.createInsecure());
client.predict(JSON.parse(readFileSync(file)), { deadline: Date.now() + 20_000 }, (error, answer) => {
  if (error) throw error;
  const { drug, probability } = answer.prediction.risks.find((risk) => risk.drug === "DRUG_CANNABIS");
  console.log(JSON.stringify({ risks: [{ drug: drug.slice(5).toLowerCase(), probability }] }));
  client.close();
});
