"""Constants that are fitted, with numpy alone, on outputs for photographs that the network was not trained on."""
