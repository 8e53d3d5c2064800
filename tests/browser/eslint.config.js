// Scripts of the page share one scope, and tsc knows what is defined; what is banned here is every way by which text could become markup or code.
import js from "@eslint/js";

const MARKUP = ["innerHTML", "outerHTML", "insertAdjacentHTML", "srcdoc", "createContextualFragment", "parseFromString", "setHTMLUnsafe", "parseHTMLUnsafe"];
const CODE = ["eval", "Function", "DOMParser", "importScripts", "fetch", "XMLHttpRequest", "WebSocket", "EventSource", "localStorage", "sessionStorage"];

export default [
  js.configs.recommended,
  {
    files: ["**/*.js"],
    languageOptions: { ecmaVersion: 2023, sourceType: "script" },
    rules: {
      "no-undef": "off",
      "no-unused-vars": ["error", { vars: "local" }],
      "no-redeclare": ["error", { builtinGlobals: false }],
      "no-script-url": "error",
      "no-var": "error",
      "prefer-const": "error",
      eqeqeq: "error",
      "no-alert": "error",
      "no-console": "error",
      "no-restricted-globals": ["error", ...CODE],
      "no-restricted-properties": ["error",
        ...MARKUP.map((property) => ({ property, message: "Text goes in as text nodes: use make() of dom.js." })),
        ...["write", "writeln"].map((property) => ({ object: "document", property })),
        ...CODE.flatMap((property) => ["window", "self", "globalThis"].map((object) => ({ object, property })))],
      "no-restricted-syntax": ["error",
        ...MARKUP.map((name) => ({ selector: `MemberExpression[computed=true] > Literal[value="${name}"]`, message: "Text goes in as text nodes." })),
        { selector: "CallExpression[callee.property.name=/^setAttribute(NS)?$/] > Literal[value=/^(style|on.*|srcdoc)$/i]", message: "Listeners by addEventListener, sizes by element.style.setProperty or SVG attributes." },
        { selector: "CallExpression[callee.name=/^(make|svg)$/] > ObjectExpression > Property[key.name=/^(style|srcdoc)$/]", message: "An inline style is blocked by the page's policy." },
        { selector: "CallExpression[callee.name=/^(make|svg)$/] > ObjectExpression > Property[key.name=/^on/][value.type=/^(Literal|TemplateLiteral)$/]", message: "A listener is a function." },
        { selector: "AssignmentExpression[left.property.name=/^on/][right.type=/^(Literal|TemplateLiteral)$/]", message: "A listener is a function." },
        { selector: `Property[key.name=/^(${MARKUP.join("|")})$/]`, message: "Text goes in as text nodes." },
        { selector: "CallExpression[callee.name=/^set(Timeout|Interval)$/] > :matches(Literal, TemplateLiteral):first-child", message: "What is called later is a function." },
        { selector: "CallExpression[callee.property.name='createElement'] > Literal[value=/^(iframe|object|embed|base|meta|link|form)$/i]", message: "The page's policy has no such element." },
        { selector: "CallExpression[callee.name='make'] > Literal[value=/^(iframe|object|embed|base|meta|link|script|style)$/i]", message: "The page's policy has no such element." },
        { selector: "CallExpression[callee.property.name='execCommand'] > Literal:first-child[value!='copy']", message: "It can insert markup." },
        { selector: "ImportExpression, WithStatement", message: "Scripts are put together by the build." }],
    },
  },
];
