// Writes the types of the API's documents from the description that the server generates: `npm run types`.
import { readFileSync, writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";
import { schema, specification } from "./places.js";

const description = JSON.parse(readFileSync(specification, "utf8"));
const head = "// Written by `npm run types` from api/openapi.json. Don't edit it.\n";
const text = head + astToString(await openapiTS(description, { alphabetize: false }));
writeFileSync(schema, text);
