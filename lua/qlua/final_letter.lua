return function() return nil, "no_answer" end
