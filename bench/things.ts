/** The answer that every variant reads: 15 things, about a kilobyte. */
export const value = {
  id: "a",
  items: Array.from({ length: 15 }, (_, index) => ({
    id: index,
    name: `thing number ${index}`,
    tags: ["red", "blue"],
    price: index * 1.5
  }))
}
export const body = new TextEncoder().encode(JSON.stringify(value))
