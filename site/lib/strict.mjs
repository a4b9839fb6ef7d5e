// What a post may contain. Posts are data: Markdown and the site's own components with plain attributes. MDX is code, so
// whatever would run (import, export, an expression, an unknown component, raw HTML) fails the build instead.
import { compile } from '@mdx-js/mdx';

const MARKDOWN = new Set([
  'root', 'paragraph', 'heading', 'text', 'strong', 'emphasis', 'list', 'listItem', 'link', 'blockquote',
  'thematicBreak', 'break', 'inlineCode', 'code',
]);
const COMPONENTS = {
  Disclosure: {},
  AiStatement: {},
  AffiliateLink: { href: /^https?:\/\/[^\s"'<>{}\\]+$/ },
  Facts: { checked: /^\d{4}-\d{2}-\d{2}$/ },
};
const LINK = /^(https?:\/\/|\/(?!\/)|#)/;
const FIELDS = {
  title: (value) => isText(value) && value.length > 0,
  description: isText,
  date: (value) => isText(value) && /^\d{4}-\d{2}-\d{2}$/.test(value) && !Number.isNaN(Date.parse(value)),
  slug: (value) => isText(value) && /^[a-z0-9][a-z0-9_-]*$/.test(value),
  tags: (value) => Array.isArray(value) && value.every((tag) => isText(tag) && tag.trim()),
  disclosure: (value) => isText(value) && value.length > 0,
};

function isText(value) {
  return typeof value === 'string' && !value.includes('\n');
}

/** The front matter and the body of a post's file. Front matter is one `key: JSON` a line, each key once. */
export function parsePost(source, name) {
  const found = /^---\n([\s\S]*?)\n---\n/.exec(source);
  if (!found) throw new Error(`${name}: there is no front matter`);
  const meta = {};
  for (const line of found[1].split('\n')) {
    const colon = line.indexOf(': ');
    const key = line.slice(0, colon);
    if (!Object.hasOwn(FIELDS, key) || Object.hasOwn(meta, key)) throw new Error(`${name}: front matter: ${line}`);
    meta[key] = JSON.parse(line.slice(colon + 2));
  }
  for (const [key, isFit] of Object.entries(FIELDS)) {
    if (!isFit(meta[key])) throw new Error(`${name}: front matter: ${key} is missing or not what it should be`);
  }
  return { meta, body: source.slice(found[0].length) };
}

/** A remark plugin that fails on everything that is not on the lists above. */
function strict() {
  return (tree) => {
    const seen = [];
    walk(tree, (node) => {
      if (node.type === 'mdxJsxFlowElement' || node.type === 'mdxJsxTextElement') {
        seen.push(node.name);
        checkComponent(node);
      } else if (!MARKDOWN.has(node.type)) {
        throw new Error(`a post may not contain ${node.type}`);
      } else if (node.type === 'link' && !LINK.test(node.url)) {
        throw new Error(`a link may not lead to ${node.url}`);
      }
    });
    if (seen[0] !== 'Disclosure') throw new Error('the disclosure does not stand before every other component');
    if (!seen.includes('AiStatement')) throw new Error('the statement that a machine wrote this is missing');
  };
}

function checkComponent(node) {
  const rules = Object.hasOwn(COMPONENTS, node.name ?? '') ? COMPONENTS[node.name] : null;
  if (!rules) throw new Error(`there is no component <${node.name ?? ''}>`);
  const given = new Map();
  for (const attribute of node.attributes) {
    const value = attribute.value;
    const rule = attribute.type === 'mdxJsxAttribute' && Object.hasOwn(rules, attribute.name) && rules[attribute.name];
    if (!rule || typeof value !== 'string' || !rule.test(value)) {
      throw new Error(`<${node.name}> has an attribute that it may not have`);
    }
    given.set(attribute.name, value);
  }
  for (const name of Object.keys(rules)) {
    if (!given.has(name)) throw new Error(`<${node.name}> lacks ${name}`);
  }
}

function walk(node, visit) {
  visit(node);
  for (const child of node.children ?? []) walk(child, visit);
}

/** The code of a post's body, or an error that says why there is none. */
export async function compileBody(body) {
  return String(await compile(body, { outputFormat: 'function-body', remarkPlugins: [strict] }));
}
