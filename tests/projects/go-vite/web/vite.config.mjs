export default { server: { proxy: { "/api": { target: process.env.API_URL, rewrite: (path) => path.slice(4) } } } };
