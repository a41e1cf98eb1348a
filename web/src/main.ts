// Starts the dashboard.
import { mount } from "svelte";
import "./tokens.css";
import "./base.css";
import App from "./App.svelte";
import { startRouter } from "./lib/router.svelte";

const target = document.getElementById("app");
if (!target) throw new Error("the page has no place for the dashboard");
startRouter();
mount(App, { target });
