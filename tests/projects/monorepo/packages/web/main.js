import { greeting } from "../shared/dist/greeting.js"; console.log(greeting("web"));
