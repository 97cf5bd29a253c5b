-- SPDX-License-Identifier: Apache-2.0
--- Everyday scenes in the form of HellaSwag: contexts and endings by hand, put together and shuffled by the generator.
-- A scene has what is seen, how the sentence goes on, endings that fit and endings that do not: from the same scene,
-- grammatical, and against sense, order or matter. {who}, {he}, {his}, {him} become the person.

local people = {
  { "A man", "he", "his", "him" }, { "A woman", "she", "her", "her" }, { "A boy", "he", "his", "him" },
  { "A girl", "she", "her", "her" }, { "An old man", "he", "his", "him" }, { "A young woman", "she", "her", "her" },
  { "A teacher", "she", "her", "her" }, { "A tall man in a red shirt", "he", "his", "him" },
}

local scenes = {
  { "Making tea", "{who} fills a kettle with water and puts it on the stove.", "{he}",
    { "waits until it whistles and pours the water over the tea.", "takes a cup from the shelf while the water heats up." },
    { "drinks the stove and folds the kettle.", "plants the tea leaves in the boiling kettle and waters them with milk.",
      "pours the dry water back into the bag.", "climbs into the cup to see whether it is hot.",
      "rides the kettle across the kitchen to the finish line." } },
  { "Changing a tire", "{who} lifts a car with a jack and takes the nuts off a wheel.", "{he}",
    { "pulls off the flat tire and puts the spare one on.", "rolls the spare wheel over from the boot." },
    { "drives the car away on the jack while waving.", "paints the nuts and hangs them on a tree.",
      "inflates the jack until it bursts.", "puts the flat tire into the oven to bake.",
      "pours the wheel into a glass and tastes it." } },
  { "Washing a dog", "{who} stands in a yard with a hose and a wet dog.", "{he}",
    { "rubs shampoo into the dog's fur and rinses it off.", "holds the dog by the collar and sprays its back." },
    { "dries the hose with the dog and hangs both on a line.", "irons the dog's fur on a wooden board.",
      "teaches the hose to bark at the neighbours.", "fills the dog with water and ties a knot in it.",
      "reads the shampoo a story until it falls asleep." } },
  { "Playing chess", "Two people sit at a table with a chess board. {who} looks at the pieces for a long time.", "{he}",
    { "moves a knight and presses the clock.", "takes a pawn with {his} bishop." },
    { "kicks the board into the goal and the crowd cheers.", "eats the queen with a fork and asks for salt.",
      "throws the clock through the hoop and scores three points.", "shuffles the pieces and deals seven to each player.",
      "sails the board out onto the lake." } },
  { "Painting a fence", "{who} opens a can of white paint next to a wooden fence.", "{he}",
    { "dips a brush into the can and begins with the first board.", "stirs the paint with a stick before {he} starts." },
    { "pours the fence into the can and shakes it.", "combs {his} hair with the wet paint and goes to sleep on the brush.",
      "cuts the paint into slices and serves it on the boards.", "dives into the can and swims two lengths.",
      "sews the boards together with the brush." } },
  { "Cutting bread", "{who} puts a loaf of bread on a board and picks up a long knife.", "{he}",
    { "cuts off a thick slice and spreads butter on it.", "holds the loaf with one hand and saws through the crust." },
    { "plays a tune on the loaf with the knife under {his} chin.", "nails the slice to the ceiling to let it rise.",
      "shaves {his} beard with the butter.", "pumps air into the loaf and rides away.",
      "plugs the knife into the bread to charge it." } },
  { "Swimming", "{who} stands on the block at the end of a pool and bends down.", "{he}",
    { "dives in at the signal and swims to the other side.", "jumps when the whistle blows and begins with long strokes." },
    { "rolls up the water and carries it home.", "lights the pool and warms {his} hands over it.",
      "hits the ball over the lane ropes into the net.", "digs the block out with a spoon.",
      "skis down the lane and stops in a cloud of snow." } },
  { "Sewing a button", "{who} threads a needle and lays a shirt on {his} knees.", "{he}",
    { "pushes the needle through the button and pulls the thread tight.", "holds the button in place and makes the first stitch." },
    { "hammers the thread into the wall beside the button.", "fries the button on both sides until it is brown.",
      "throws the needle for the dog to fetch.", "rows the shirt across the river.",
      "blows up the shirt and lets it fly away." } },
  { "Making a snowman", "Children roll a big ball of snow across a garden. {who} rolls a second one.", "{he}",
    { "lifts the smaller ball on top of the bigger one.", "pats the snow firm and looks for a carrot for the nose." },
    { "switches the snow on and watches the news.", "grates the carrot into the sun and mows the ball.",
      "folds the snow into a paper plane.", "bakes the ball for an hour and eats it with syrup.",
      "knits the second ball into a scarf for summer." } },
  { "Fixing a sink", "{who} lies under a kitchen sink with a wrench in {his} hand.", "{he}",
    { "tightens a pipe and wipes the water off the floor.", "unscrews the trap and lets the dirty water run into a bucket." },
    { "tunes the pipe and begins to sing the second verse.", "feeds the wrench with small leaves.",
      "puts the sink into {his} pocket and boards the train.", "paints {his} toenails with the bucket.",
      "throws the wrench into the air and catches it with {his} racket." } },
  { "Flying a kite", "{who} runs along a beach with a kite behind {him}.", "{he}",
    { "lets out more string as the wind lifts the kite.", "stops when the kite is high and holds the line tight." },
    { "buries the wind in the sand and waters it.", "reels in the beach and puts it in a basket.",
      "asks the kite to pay for the parking.", "butters the string and toasts the wind.",
      "dives under the kite to look for fish." } },
  { "Ironing", "{who} spreads a shirt on a board and waits until the iron is hot.", "{he}",
    { "moves the iron over the sleeves until they are smooth.", "sprays a little water on the collar and presses it flat." },
    { "rings the iron and asks who is there.", "stirs the sleeves into the soup with the board.",
      "surfs on the board to the island.", "puts the shirt under the pillow for the night train.",
      "peels the iron and cuts it into small cubes." } },
  { "Planting a tree", "{who} digs a deep hole in a park and sets a young tree in it.", "{he}",
    { "fills the hole with earth and waters the tree.", "holds the trunk straight and treads the soil down." },
    { "combs the roots and braids them with ribbons before the dance.", "shoots the tree at the goal from a long way off.",
      "wraps the hole in paper and posts it.", "climbs down the tree into the cellar of the hole to fetch wine.",
      "shakes the spade until apples fall from it." } },
  { "Brushing teeth", "{who} stands before a bathroom mirror and squeezes paste onto a brush.", "{he}",
    { "brushes the front teeth in small circles and rinses.", "opens {his} mouth and begins with the back teeth." },
    { "sweeps the stairs with the paste until it shines.", "paints the mirror blue and sells it.",
      "dials a number on the brush and waits.", "spreads the paste on the bread of a passing horse.",
      "takes {his} teeth for a walk on the brush." } },
  { "Bowling", "{who} picks up a heavy ball and looks down the lane at the pins.", "{he}",
    { "takes a few steps and lets the ball roll.", "swings {his} arm back and aims at the middle pin." },
    { "bounces the ball into the basket from behind the line.", "cracks the ball on the edge of a pan.",
      "waxes the pins and puts them on as skis.", "blows into the ball until a melody comes out.",
      "sits on the ball until it hatches." } },
  { "Watering plants", "{who} fills a can at a tap on a hot evening.", "{he}",
    { "carries it to the flower beds and waters the roses.", "walks along the tomatoes and gives each plant some water." },
    { "waters the sun until it goes out and pockets it.", "drives the can into the garage and locks it.",
      "plays the tap like a trumpet to the marching roses.", "teaches the roses to count to ten with a ruler.",
      "knots the water into a rope and climbs it." } },
  { "Wrapping a present", "{who} lays a book on a sheet of coloured paper.", "{he}",
    { "folds the paper around the book and tapes it down.", "cuts the paper to size and ties a ribbon round it." },
    { "reads the ribbon aloud and turns its pages.", "boils the paper until it is soft and drains it.",
      "parks the book between two cars.", "milks the book into a bucket.",
      "runs the tape around the stadium and wins." } },
  { "Making pizza", "{who} rolls out dough on a floured table and spreads sauce on it.", "{he}",
    { "puts cheese on top and slides the pizza into the oven.", "lays slices of tomato on the sauce and adds some cheese." },
    { "hangs the dough on the wall and frames it.", "drives over the sauce to test the brakes.",
      "washes {his} socks in the oven at sixty degrees.", "unrolls the cheese and sleeps on it.",
      "buttons up the dough and goes to the office." } },
  { "Catching a bus", "{who} runs along the street towards a bus that is about to leave.", "{he}",
    { "waves to the driver, who opens the door again.", "reaches the door in time and gets on." },
    { "lifts the bus onto {his} shoulders and jogs on.", "winds up the street and puts it in a drawer.",
      "sings the bus a song until it lays an egg.", "ties the bus to a balloon and lets go.",
      "reads the driver from back to front." } },
  { "Learning the guitar", "{who} sits on a bed with a guitar and looks at a sheet of chords.", "{he}",
    { "puts {his} fingers on the strings and strums slowly.", "tries the first chord and tunes a string." },
    { "rows the guitar with the sheet as a sail.", "pours the chords through a sieve.",
      "saddles the guitar and gallops over the fields.", "plants the strings in a row and waits for rain.",
      "calls the guitar a taxi to the airport." } },
  { "Grilling", "{who} lights charcoal in a grill and waits until it glows.", "{he}",
    { "lays sausages on the grate and turns them with tongs.", "puts the meat over the coals and closes the lid." },
    { "stores ice cream between the coals so that it stays hard.", "dusts the smoke and puts it on a shelf.",
      "rakes the sausages out of the pond.", "pulls the grill over {his} head and buttons it up.",
      "marries the tongs to the lid before a small crowd." } },
  { "Skating", "{who} ties the laces of {his} skates and steps onto the ice.", "{he}",
    { "glides slowly along the edge and then turns.", "pushes off with one foot and picks up speed." },
    { "stirs the ice with {his} laces until it boils.", "mows the ice and stacks it to dry.",
      "climbs the ice with a ladder of skates to reach the moon.", "dives to the bottom of the rink for pearls.",
      "feeds the skates and puts them to bed." } },
  { "Packing a suitcase", "{who} opens a suitcase on a bed and folds a few shirts.", "{he}",
    { "lays them inside and puts shoes along the edge.", "puts the shirts in and presses the lid down to close it." },
    { "mails the bed to the shirts for a holiday.", "fills the suitcase with soup and stirs.",
      "ploughs the bed and sows the shirts.", "teaches the lid to swim on its back.",
      "plays the suitcase with two sticks in the parade of shoes." } },
  { "How to sharpen a pencil", "[header] How to sharpen a pencil [title] Hold the pencil and the sharpener firmly. [step] "
      .. "{who} once asked me how to do this well.", "[substeps] Put the tip into the opening.",
    { "Turn the pencil gently until the point is sharp.", "Turn it a few times and then look at the tip." },
    { "Turn off the pencil at night to save ink.", "Water the pencil daily until leaves grow at the tip.",
      "Drive the pencil to a garage and ask for new wheels.", "Boil the sharpener for ten minutes and serve.",
      "Ask the opening to close the window." } },
  { "How to cross a street", "[header] How to cross a street [title] Stop at the edge of the pavement. [step] {who} may be in a "
      .. "hurry, but a car is faster.", "[substeps] Look left, right and left again.",
    { "Walk across when no car is coming.", "Go only when the road is clear." },
    { "Lie down on the road and close your eyes.", "Fold the road and carry it to the other side.",
      "Throw the pavement over the cars.", "Paint the drivers green and wait for rain.",
      "Tie your shoes to the traffic lights." } },
  { "How to keep cut flowers fresh", "[header] How to keep cut flowers fresh [title] Cut the stems at an angle. [step] {who} in "
      .. "our street sells roses and swears by it.", "[substeps] Put the flowers into a clean vase.",
    { "Change the water every second day.", "Fill it with cool water and keep it out of the sun." },
    { "Iron the petals at the hottest setting.", "Feed the vase with fish and hay.",
      "Bury the water and dance on it.", "Plug the stems into the wall.",
      "Send the vase to school until it can read." } },
}

local function filled(text, person)
  text = text:gsub("{who}", person[1]):gsub("{he}", person[2]):gsub("{his}", person[3]):gsub("{him}", person[4])
  return text
end

--- One row. Scenes come in turn; each round has other people, so that no context comes twice.
-- @param r a generator of qlua.random
-- @tparam integer index from 0
return function(r, index)
  local scene = scenes[index % #scenes + 1]
  local person = people[(index // #scenes + index) % #people + 1]
  local endings = { filled(scene[4][r:integer(#scene[4])], person) }
  for _, wrong in ipairs(r:sample(scene[5], 3)) do
    endings[#endings + 1] = filled(wrong, person)
  end
  local right = endings[1]
  r:shuffle(endings)
  local label
  for i, ending in ipairs(endings) do
    label = ending == right and i - 1 or label
  end
  local is_howto = scene[2]:find("[header]", 1, true) ~= nil
  local ctx_a, ctx_b = filled(scene[2], person), filled(scene[3], person)
  return { ind = index, activity_label = scene[1], ctx_a = ctx_a, ctx_b = ctx_b, ctx = ctx_a .. " " .. ctx_b, split = "val",
    split_type = index % 2 == 0 and "indomain" or "zeroshot", label = label, endings = endings,
    source_id = (is_howto and "qlua-howto~%04d" or "qlua-scene~%04d"):format(index) }
end
